/**
 * What policies bring along: rules and applets. Functions
 * are opaque; only their frames are checked.
 */

import { suggest } from '../base/suggest.js'
import { readSize, type Size, show } from '../base/units.js'
import type { Applet } from '../policy/applet.js'
import type { Plugin, PluginInside } from '../policy/plugin.js'
import { type HandshakeRule, type Rule, verdictKinds } from '../policy/rule.js'
import type { RuleList } from '../policy/rule-lists.js'
import { foreignVerdict } from './foreign.js'
import { type Options, optional, required, section } from './section.js'
import { duration, either, flag, fn, leaf, list, oneOf, type Type, text } from './type.js'

const kindNames = [...verdictKinds.values()].map(({ kind }) => kind)

const verdict = leaf(
  ['object'],
  { type: 'Verdict', expected: 'a verdict' },
  (value: { kind?: unknown }) => {
    if (!('kind' in value)) return { message: 'expected a verdict, got an object.', mismatch: true }
    if (verdictKinds.has(value.kind)) return undefined
    const near =
      typeof value.kind === 'string'
        ? (foreignVerdict(value.kind) ?? suggest(value.kind, kindNames))
        : undefined
    return {
      message: `expected a verdict, got an object whose kind is ${show(value.kind)}.`,
      ...(near ? { suggestion: near } : {}),
    }
  },
)

const ruleOptions = {
  name: required(text(), 'Name in logs and errors.'),
  run: required(fn('(conn) => verdict'), 'The rule itself.'),
  deadline: optional(duration(1), 'Longest time for an answer.', {
    means: 'global.verdictTimeout',
  }),
  onError: optional(oneOf('close', 'open'), 'When it throws, rejects or is late.', {
    means: "the frontend's `onError`",
  }),
}

/** Most that an engine shows. */
const MOST_BYTES = 65_536

/** As a size, or as a number of bytes. */
const byteLimit: Type<Size | number> = leaf(
  ['string', 'number'],
  { type: 'Size | number', expected: "a size such as '16kB' or a number of bytes" },
  (value: Size | number) => {
    if (typeof value === 'string') {
      const read = readSize(value)
      if (!('value' in read)) return read
      if (read.value >= 1 && read.value <= MOST_BYTES) return undefined
    } else if (Number.isInteger(value) && value >= 1 && value <= MOST_BYTES) return undefined
    return { message: `expected '1B' to '64kB', or a whole number of bytes, got ${show(value)}.` }
  },
)

const byteRuleOptions = {
  ...ruleOptions,
  limit: optional(byteLimit, 'Most bytes that it sees, at most 64kB.', { default: '16kB' }),
  speaksFirst: optional(flag, 'It is called at once, without waiting for bytes.', {
    default: false,
  }),
}

/** One of a list. `words`: what an object may have. */
function ruleOf<R>(options: Options, words: string): Type<R> {
  const expected = `a rule: a function, a verdict, or { ${words} }`
  const { schema } = either(expected, fn('(conn) => verdict'), verdict, section(options))
  return {
    schema: schema.meta({
      type: 'Rule',
      expected: 'a rule: a function, a verdict, or { name, run }',
    }),
    code: () => 'Rule',
    parts: [],
    resolve: (value) => value,
  }
}

/**
 * Rules of a stage: each a function, a verdict, or a function with a name and options. `subject`: the
 * type of what they are about, in TypeScript, where that is not every connection.
 */
export function rules<C>(stage: RuleList, subject = 'Connection'): Type<Rule<C>[], Rule<C>[]> {
  const rule = ruleOf<Rule<C>>(ruleOptions, 'name, run, deadline, onError')
  return { ...list(rule), code: () => `Rules<${subject}, At<'${stage}', N>>`, names: true }
}

/** Rules on the first bytes. */
export const handshakeRules: Type<HandshakeRule[], HandshakeRule[]> = {
  ...list(
    ruleOf<HandshakeRule>(byteRuleOptions, 'name, run, limit, deadline, onError, speaksFirst'),
  ),
  code: () => "HandshakeRules<At<'handshake', N>>",
  names: true,
}

export const BROKEN_APPLET = 'expected an applet, as defineApplet(name, serve) makes it.'

export const applet: Type<Applet> = leaf(
  ['object'],
  { type: 'Applet', expected: 'an applet' },
  (value: { kind?: unknown; name?: unknown; serve?: unknown }) => {
    const { kind, name, serve } = value
    if (kind === 'applet' && typeof name === 'string' && typeof serve === 'function')
      return undefined
    return { message: BROKEN_APPLET, ...(kind === 'applet' ? {} : { mismatch: true }) }
  },
)

const PLUGIN = 'expected a plugin, as a function of definePlugin makes it'

/** By its shape, as a package may have another copy of this one. */
export const plugin: Type<Plugin> = leaf(
  ['object', 'function'],
  { type: 'Plugin', expected: 'a plugin' },
  (value: Partial<PluginInside> | ((...args: never) => unknown)) => {
    if (typeof value === 'function') {
      const name = value.name || 'plugin'
      return { message: `${PLUGIN}, got the function ${name} itself. Call it: ${name}().` }
    }
    const { kind, name, use, setup } = value
    const isWhole = typeof name === 'string' && typeof use === 'object' && use !== null
    if (kind === 'plugin' && isWhole && typeof setup === 'function') return undefined
    return { message: `${PLUGIN}, got ${show(value)}.` }
  },
)
