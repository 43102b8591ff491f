/**
 * What a policy is written against: the connection it sees and the verdicts it
 * gives. Constructors of verdicts are in actions.ts.
 */

import type { Logger } from 'pino'

/** One of the three tracked counters of a connection. */
export type CounterName = 'sc0' | 'sc1' | 'sc2'

/** Values a policy keeps on a connection. */
export type Variable = string | number | boolean | bigint | Uint8Array | undefined

/** Live view of a tracked stick-table entry; every value is 0 where the table does not store it. */
export interface TrackedCounter {
  /** False until tracked. */
  readonly tracked: boolean
  readonly key: string | number | undefined
  readonly connCur: number
  readonly connCnt: number
  readonly connRate: number
  readonly sessCnt: number
  readonly sessRate: number
  readonly bytesInCnt: number
  readonly bytesOutCnt: number
  readonly bytesInRate: number
  readonly bytesOutRate: number
  gpc0: number
  gpc1: number
  readonly gpc0Rate: number
  gpt0: number
  readonly serverId: number
}

/** A connection as rules, handlers, applets and keys see it. */
export interface Connection {
  /** Unique in this process run: hexadecimal. */
  readonly id: string
  readonly frontend: string
  /** Address the client connected from, or the PROXY header's. '' for unix sockets. */
  readonly src: string
  readonly srcPort: number
  readonly dst: string
  readonly dstPort: number
  /** The socket's real peer; differs from `src` behind a PROXY header. */
  readonly peer: string
  /** PROXY v2 TLVs by type byte; empty where no header came. */
  readonly proxyTlvs: ReadonlyMap<number, Uint8Array>
  readonly bytesIn: number
  readonly bytesOut: number
  readonly sc0: TrackedCounter
  readonly sc1: TrackedCounter
  readonly sc2: TrackedCounter
  /** Variables of this connection, free for policies to use. */
  readonly vars: Record<string, Variable>
  /** pino child logger with the connection's bindings. */
  readonly log: Logger
  /** Aborted when the connection ends, for work a policy has under way. */
  readonly signal: AbortSignal
}

/** What a rule answers. `undefined` goes on with the next rule. */
export type Verdict =
  | { readonly kind: 'accept' }
  | { readonly kind: 'reject'; readonly how: 'close' | 'reset' }
  | { readonly kind: 'tarpit'; readonly ms: number }
  | { readonly kind: 'reply'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'track'
      readonly counter: CounterName
      readonly key: Key
      readonly table: string
    }
  | { readonly kind: 'setVar'; readonly name: string; readonly value: Variable }
  | { readonly kind: 'backend'; readonly backend: string }
  | { readonly kind: 'expectProxy' }
  | { readonly kind: 'priority'; readonly value: number }
  /** Content rules only: wait for more payload, within inspectDelay and inspectLimit. */
  | { readonly kind: 'more' }

export type Key = string | number | Uint8Array | undefined

// biome-ignore lint/suspicious/noConfusingVoidType: a function without a return statement is an answer
export type Sync<T> = T | undefined | void
/** A rule may answer with one verdict, several, or none; at once or by promise. */
export type RuleAnswer = Sync<Verdict | readonly Verdict[]>

export type RuleFunction<C = Connection> = (conn: C) => RuleAnswer | Promise<RuleAnswer>

/**
 * A rule: a function (its name is the rule's name), a constant verdict, or
 * either with options.
 */
export type Rule<C = Connection> =
  | RuleFunction<C>
  | Verdict
  | {
      name: string
      run: RuleFunction<C>
      /** Longest time for an answer, in ms or as '250ms'. Default: global.verdictTimeout. */
      deadline?: number | string
      /** When it throws, rejects or is late. Default: the frontend's defaultVerdict. */
      onError?: 'close' | 'open'
    }
