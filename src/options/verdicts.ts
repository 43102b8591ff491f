/** Constant verdicts: their fields, and the lists of rules that they are for. */

import { show } from '../base/units.js'
import { MOST_REPLY } from '../engine/reply.js'
import type { Verdict } from '../policy/types.js'
import {
  clientCert,
  priority,
  reply,
  setVar,
  tarpit,
  track,
  useBackend,
  useCertificate,
} from '../policy/verdicts.js'
import type { RuleList } from './rules.js'
import { anyOf } from './type.js'

export interface Field {
  readonly expected: string
  fits(value: unknown): boolean
}

export interface Kind<K extends Verdict['kind']> {
  /** As its constructor is written. */
  readonly call: string
  /**
   * What makes it, where that needs an argument: without its call it would be a rule that fails, or
   * answers nonsense. Those without one answer the same as when they are called.
   */
  readonly maker?: unknown
  /** The only list that it is for. */
  readonly only?: RuleList
  readonly fields: Record<Exclude<keyof Extract<Verdict, { kind: K }>, 'kind'>, Field>
}

export const text: Field = {
  expected: 'a string',
  fits: (value) => typeof value === 'string' && value !== '',
}

function oneOf(...words: readonly string[]): Field {
  return {
    expected: anyOf(words.map(show)),
    fits: (value) => typeof value === 'string' && words.includes(value),
  }
}

export const counter = oneOf('sc0', 'sc1', 'sc2')
const scalars = ['string', 'number', 'boolean', 'bigint', 'undefined']

export const kinds: { readonly [K in Verdict['kind']]: Kind<K> } = {
  accept: { call: 'accept()', fields: {} },
  reject: {
    call: 'reject()',
    fields: { how: oneOf('close', 'reset') },
  },
  tarpit: {
    call: "tarpit('5s')",
    maker: tarpit,
    fields: {
      ms: {
        expected: `milliseconds from 0 to ${2 ** 31 - 1}`,
        fits: (value) => typeof value === 'number' && value >= 0 && value < 2 ** 31,
      },
    },
  },
  reply: {
    call: "reply('text')",
    maker: reply,
    fields: {
      bytes: {
        expected: `bytes (a Uint8Array of at most ${MOST_REPLY})`,
        fits: (value) => value instanceof Uint8Array && value.length <= MOST_REPLY,
      },
    },
  },
  track: {
    call: "track('sc0', key, 'table')",
    maker: track,
    fields: {
      counter,
      key: {
        expected: 'a string, a number or a Uint8Array',
        fits: (value) =>
          ['string', 'number', 'undefined'].includes(typeof value) || value instanceof Uint8Array,
      },
      table: text,
    },
  },
  setVar: {
    call: "setVar('name', value)",
    maker: setVar,
    fields: {
      name: text,
      value: {
        expected: 'a string, a number, true, false, a bigint or a Uint8Array',
        fits: (value) => scalars.includes(typeof value) || value instanceof Uint8Array,
      },
    },
  },
  backend: { call: "useBackend('name')", maker: useBackend, fields: { backend: text } },
  expectProxy: { call: 'expectProxy()', only: 'connection', fields: {} },
  priority: {
    call: 'priority(number)',
    maker: priority,
    fields: { value: { expected: 'a finite number', fits: Number.isFinite } },
  },
  certificate: {
    call: "useCertificate('name')",
    maker: useCertificate,
    only: 'clientHello',
    fields: { name: text },
  },
  clientCert: {
    call: "clientCert('required')",
    maker: clientCert,
    only: 'clientHello',
    fields: { demand: oneOf('none', 'optional', 'required') },
  },
  passthrough: { call: 'passthrough()', only: 'clientHello', fields: {} },
  more: { call: 'more()', only: 'content', fields: {} },
}

export const verdictKinds: readonly string[] = Object.keys(kinds)

/** How the verdict is written whose maker `run` is; undefined where it is no maker. */
export function uncalled(run: unknown): string | undefined {
  const each = Object.values<{ call: string; maker?: unknown }>(kinds)
  return each.find(({ maker }) => maker !== undefined && maker === run)?.call
}
