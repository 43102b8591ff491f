/**
 * Where a table's row keeps what. A row is one run of 32-bit words, so that all
 * of an entry is in one or two cache lines: links, key, counters, rates.
 */

import type { ResolvedTable } from '../config/resolved.js'
import { RATE_CELLS, SLICES } from './rate.js'

/** Names of what a table can store for each entry. */
export type DataType = keyof ResolvedTable['store']

/** Words at the start of every row. */
export const Row = {
  /** Next entry in the same bucket, or in the list of free rows. */
  CHAIN: 0,
  /** Neighbours in the list of unpinned entries, ordered by use. */
  NEWER: 1,
  OLDER: 2,
  /** Connections that track the entry. */
  USES: 3,
  /** Time of the last use, a double: word 4 and 5. */
  TOUCHED: 4,
  KEY: 6,
} as const

export interface RateColumn {
  /** Bytes outgrow 32 bits: their rates are doubles. */
  readonly wide: boolean
  /** First cell within the row: in words, or in doubles where wide. */
  readonly at: number
  /** ms; a quarter of the window. */
  readonly slice: number
}

/** What a data type's name refers to. */
export interface Column {
  /** The name is that of a rate. */
  readonly isRate: boolean
  /** Double within the row that holds the counter; -1 where not stored. */
  readonly at: number
  /** The rate itself, or the one that the counter feeds. */
  readonly rate: RateColumn | undefined
}

export interface Layout {
  /** Words of a row, a multiple of two. */
  readonly stride: number
  readonly columns: Readonly<Record<DataType, Column>>
  /** What is stored, in the order of HAProxy's documentation. */
  readonly stored: readonly DataType[]
  /** That, and counters of which only the rate is stored: writing them feeds it. */
  readonly writable: readonly DataType[]
}

/** Counters with the rate that each feeds. */
const COUNTERS = {
  connCur: undefined,
  connCnt: 'connRate',
  sessCnt: 'sessRate',
  bytesInCnt: 'bytesInRate',
  bytesOutCnt: 'bytesOutRate',
  gpc0: 'gpc0Rate',
  gpc1: undefined,
  gpt0: undefined,
  serverId: undefined,
} as const

const RATES = ['bytesInRate', 'bytesOutRate', 'connRate', 'sessRate', 'gpc0Rate'] as const

const NAMES: readonly DataType[] = [
  ...([
    'connCur',
    'connCnt',
    'connRate',
    'sessCnt',
    'sessRate',
    'bytesInCnt',
    'bytesOutCnt',
  ] as const),
  ...(['bytesInRate', 'bytesOutRate', 'gpc0', 'gpc1', 'gpc0Rate', 'gpt0', 'serverId'] as const),
]

export function tableLayout(store: ResolvedTable['store'], keyWords: number): Layout {
  let end = Row.KEY + keyWords
  end += end % 2
  const columns: Partial<Record<DataType, Column>> = {}
  const rates: Partial<Record<DataType, RateColumn>> = {}
  const counters: Partial<Record<DataType, number>> = {}
  for (const name of Object.keys(COUNTERS) as (keyof typeof COUNTERS)[]) {
    counters[name] = store[name] ? end / 2 : -1
    if (store[name]) end += 2
  }
  // Wide rates come first, so that every double is aligned.
  for (const name of RATES) {
    if (store[name] === 0) continue
    const wide = name === 'bytesInRate' || name === 'bytesOutRate'
    rates[name] = { wide, at: wide ? end / 2 : end, slice: store[name] / SLICES }
    end += wide ? RATE_CELLS * 2 : RATE_CELLS
  }
  for (const name of RATES) columns[name] = { isRate: true, at: -1, rate: rates[name] }
  for (const [name, fed] of Object.entries(COUNTERS) as [DataType, DataType | undefined][]) {
    columns[name] = { isRate: false, at: counters[name] ?? -1, rate: fed && rates[fed] }
  }
  return {
    stride: end + (end % 2),
    columns: columns as Record<DataType, Column>,
    stored: NAMES.filter((name) => store[name]),
    writable: NAMES.filter((name) => store[name] || columns[name]?.rate !== undefined),
  }
}
