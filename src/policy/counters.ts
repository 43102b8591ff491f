/** What a stick table can store for each key: a row for each counter and each rate. */

import type { Duration } from '../base/units.js'

export interface CounterRow {
  /** For the reference. */
  readonly doc: string
  /** A rate names its window. */
  readonly rate?: true
  /** The rate that a rise of the counter feeds. */
  readonly feeds?: string
  /** Policies may assign it. */
  readonly writable?: true
  /** A rate of bytes, which outgrow 32 bits. */
  readonly wide?: true
  /** A window as an example. */
  readonly example?: string
}

/** In the order in which they are shown, which is that of HAProxy's documentation. */
export const counters = {
  connCur: { doc: 'Connections now.' },
  connCnt: { doc: 'Connections so far.', feeds: 'connRate' },
  connRate: { doc: 'Connections within this window.', rate: true, example: "'10s'" },
  sessCnt: { doc: 'Sessions so far.', feeds: 'sessRate' },
  sessRate: { doc: 'Sessions within this window.', rate: true },
  bytesInCnt: { doc: 'Bytes from clients.', feeds: 'bytesInRate' },
  bytesOutCnt: { doc: 'Bytes to clients.', feeds: 'bytesOutRate' },
  bytesInRate: { doc: 'Bytes from clients within this window.', rate: true, wide: true },
  bytesOutRate: { doc: 'Bytes to clients within this window.', rate: true, wide: true },
  gpc0: { doc: 'First general-purpose counter.', feeds: 'gpc0Rate', writable: true },
  gpc1: { doc: 'Second general-purpose counter.', writable: true },
  gpc0Rate: { doc: 'Increments of gpc0 within this window.', rate: true },
  gpt0: { doc: 'General-purpose tag.', writable: true },
  serverId: { doc: 'The server that a key sticks to.' },
} as const satisfies Record<string, CounterRow>

export type CounterTable = typeof counters
export type DataType = keyof CounterTable

/** Every row under its name. */
export const counterRows = Object.entries<CounterRow>(counters) as readonly (readonly [
  DataType,
  CounterRow,
])[]

/** What a table stores: counters are there or not, rates name their window. */
export type TableStore = {
  readonly [N in DataType]?: CounterTable[N] extends { rate: true } ? Duration : boolean
}

/** Names that a table with `S` stores. */
export type StoredIn<S> = {
  [N in DataType]: N extends keyof S ? (S[N] extends false | undefined ? never : N) : never
}[DataType]

/** Names that policies may assign. */
type Writable = {
  [N in DataType]: CounterTable[N] extends { writable: true } ? N : never
}[DataType]

/** Assigning them feeds a rate, also where that alone is stored. */
type Feeding<S> = {
  [N in Writable]: CounterTable[N] extends { feeds: StoredIn<S> } ? N : never
}[Writable]

/** Names that an entry of a table with `S` has. */
export type ReadableIn<S> = StoredIn<S> | Feeding<S>

/** Counters and rates by name; policies may assign some. */
export type Counts<N extends DataType> = {
  readonly [M in Exclude<N, Writable>]: number
} & { [M in Extract<N, Writable>]: number }
