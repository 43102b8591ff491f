/**
 * What policies bring along: rules, handshake handlers and applets. Functions
 * are opaque; only their frames are checked.
 */

import { z } from 'zod'
import { suggest } from '../base/suggest.js'
import { MAX_DURATION, readDuration, show } from '../base/units.js'
import type { Applet } from '../policy/applet.js'
import type { HandshakeHandler } from '../policy/handler.js'
import type { Plugin, PluginInside } from '../policy/plugin.js'
import { type Rule, verdictKinds } from '../policy/rule.js'
import { foreignVerdict } from './foreign.js'
import { optional, required, section } from './section.js'
import {
  duration,
  either,
  fn,
  type LeafParams,
  leaf,
  list,
  oneOf,
  type Type,
  text,
} from './type.js'

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

const namedRule = section({
  name: required(text(), 'Name in logs and errors.'),
  run: required(fn('(conn) => verdict'), 'The rule itself.'),
  deadline: optional(duration(1), 'Longest time for an answer.', {
    means: 'global.verdictTimeout',
  }),
  onError: optional(oneOf('close', 'open'), 'When it throws, rejects or is late.', {
    means: "the frontend's `onError`",
  }),
})

const ruleSchema = either(
  'a rule: a function, a verdict, or { name, run, deadline, onError }',
  fn('(conn) => verdict'),
  verdict,
  namedRule,
).schema.meta({ type: 'Rule', expected: 'a rule: a function, a verdict, or { name, run }' })

/**
 * Rules: each a function, a verdict, or a function with a name and options. `subject`: the type of
 * what they are about, in TypeScript, where that is not every connection.
 */
export function rules<C>(subject = 'Connection'): Type<Rule<C>[], Rule<C>[]> {
  const rule: Type<Rule<C>> = {
    schema: ruleSchema,
    code: () => 'Rule',
    parts: [],
    resolve: (value) => value,
  }
  return { ...list(rule), code: () => `Rules<${subject}, N>`, names: true }
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

/** Class instances are welcome, so that only the known members are looked at. */
const handlerSchema = z
  .unknown()
  .superRefine((value, ctx) => {
    const issue = (message: string, path: string[] = [], suggestion?: string) => {
      const params: LeafParams = { mismatch: path.length === 0, suggestion }
      ctx.addIssue({ code: 'custom', message, path, params: { ...params }, continue: false })
    }
    if (typeof value !== 'object' || value === null) {
      issue(`expected a handshake handler, as defineHandshake() makes it, got ${show(value)}.`)
      return
    }
    const { name, onBytes, limit, deadline, onTimeout } = value as Record<string, unknown>
    if (typeof name !== 'string' || name === '')
      issue(`expected a string, got ${show(name)}.`, ['name'])
    if (typeof onBytes !== 'function')
      issue(`expected a function, got ${show(onBytes)}.`, ['onBytes'])
    if (
      limit !== undefined &&
      !(Number.isInteger(limit) && Number(limit) > 0 && Number(limit) <= 65_536)
    ) {
      issue(`expected a whole number from 1 to 65536, got ${show(limit)}.`, ['limit'])
    }
    if (deadline !== undefined) {
      const wrong = checkMilliseconds(deadline)
      if (wrong) issue(wrong.message, ['deadline'], wrong.suggestion)
    }
    if (onTimeout !== undefined && onTimeout !== 'close' && onTimeout !== 'open') {
      issue(`expected 'close' or 'open', got ${show(onTimeout)}.`, ['onTimeout'])
    }
  })
  .meta({ type: 'HandshakeHandler' })

export const handshakeHandler: Type<HandshakeHandler> = {
  schema: handlerSchema,
  code: () => 'HandshakeHandler',
  parts: [],
  resolve: (value) => value,
}

function checkMilliseconds(value: unknown): { message: string; suggestion?: string } | undefined {
  const parsed = typeof value === 'number' ? { value } : readDuration(value)
  if ('message' in parsed) return parsed
  if (parsed.value > 0 && parsed.value <= MAX_DURATION) return undefined
  return {
    message: `expected more than 0 milliseconds, at most ${MAX_DURATION}, got ${show(value)}.`,
  }
}
