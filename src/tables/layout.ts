/**
 * Where a table's row keeps what. A row is one run of 32-bit words, so that all
 * of an entry is in one or two cache lines: links, key, counters, rates.
 */

import type { ResolvedTable } from '../options/table.js'
import { counterRows, type DataType } from '../policy/counters.js'
import { RATE_CELLS, SLICES } from './rate.js'

/** Names of what a table can store for each entry. */
export type { DataType }

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

/** Wide rates come first, so that every double is aligned. */
const RATES = counterRows
  .filter(([, { rate }]) => rate)
  .sort(([, a], [, b]) => Number(b.wide ?? false) - Number(a.wide ?? false))
const COUNTERS = counterRows.filter(([, { rate }]) => !rate)

export function tableLayout(store: ResolvedTable['store'], keyWords: number): Layout {
  let end = Row.KEY + keyWords
  end += end % 2
  const columns: Partial<Record<DataType, Column>> = {}
  const rates: Partial<Record<DataType, RateColumn>> = {}
  const counters: Partial<Record<DataType, number>> = {}
  for (const [name] of COUNTERS) {
    counters[name] = store[name] ? end / 2 : -1
    if (store[name]) end += 2
  }
  for (const [name, { wide = false }] of RATES) {
    const window = Number(store[name])
    if (window === 0) continue
    rates[name] = { wide, at: wide ? end / 2 : end, slice: window / SLICES }
    end += wide ? RATE_CELLS * 2 : RATE_CELLS
  }
  for (const [name] of RATES) columns[name] = { isRate: true, at: -1, rate: rates[name] }
  for (const [name, { feeds }] of COUNTERS) {
    const rate = feeds && rates[feeds as DataType]
    columns[name] = { isRate: false, at: counters[name] ?? -1, rate: rate || undefined }
  }
  const names = counterRows.map(([name]) => name)
  return {
    stride: end + (end % 2),
    columns: columns as Record<DataType, Column>,
    stored: names.filter((name) => store[name]),
    writable: names.filter((name) => store[name] || columns[name]?.rate !== undefined),
  }
}
