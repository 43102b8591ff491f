/**
 * Stick tables: what is counted and remembered for each key, in HAProxy's terms.
 * docs/stick-tables.md states memory and the error of rates.
 */

import { inspect } from 'node:util'
import type { Clock } from '../base/clock.js'
import { SluiceError } from '../base/errors.js'
import type { ResolvedTable } from '../options/table.js'
import type { TableRow } from '../policy/live.js'
import { CHUNK_SHIFT, EntryStore, FREE, ROW_MASK } from './entry-store.js'
import { type KeyCodec, keyCodec, type TableKey } from './key.js'
import { type DataType, type Layout, type RateColumn, Row, tableLayout } from './layout.js'
import { feedRate, readRate, setRate } from './rate.js'

export type { TableKey } from './key.js'
export type { DataType } from './layout.js'

/**
 * One entry: a positive integer. Valid while it is retained; otherwise until the next `track`,
 * `remove`, `clear` or `entries`, which may give its place to another key.
 */
export type TableEntry = number

/**
 * A bounded map from keys to counters. An entry is used by `track` and by its last `release`;
 * the least recently used one makes room in a full table, and one that is not used for
 * `config.expire` ms is forgotten. A retained entry stays.
 */
export class StickTable {
  readonly name: string
  readonly config: ResolvedTable
  /**
   * Told of an entry right before a write to it, and with `written` right after. Undefined while
   * nobody watches, which costs nothing. It must not throw, and not write.
   */
  onWrite: ((entry: TableEntry, written: boolean) => void) | undefined = undefined
  readonly #clock: Clock
  readonly #codec: KeyCodec
  readonly #layout: Layout
  readonly #store: EntryStore
  readonly #readable: ReadonlySet<DataType>
  readonly #writable: ReadonlySet<DataType>
  /** Errors about what is not stored, by name. */
  readonly #told = new Map<string, SluiceError>()

  /** Preconditions: `config.size` and `config.keyLength` are whole numbers of at least 1. */
  constructor(config: ResolvedTable, clock: Clock) {
    this.name = config.name
    this.config = config
    this.#clock = clock
    this.#codec = keyCodec(config.key, config.keyLength)
    this.#layout = tableLayout(config.store, this.#codec.width)
    const { stored, writable } = this.#layout
    this.#writable = new Set(writable)
    // `gpc0++` reads it before it is written.
    this.#readable = new Set(writable.includes('gpc0') ? [...stored, 'gpc0'] : stored)
    this.#store = new EntryStore(this.#codec, config.size, config.expire, this.#layout.stride)
  }

  /** How many there are. Takes out what has expired: after a long idle time that is the whole table. */
  get entries(): number {
    this.#store.sweep(this.#clock.now(), this.#store.entries)
    return this.#store.entries
  }

  /** Entries that made room for others so far. */
  get evicted(): number {
    return this.#store.evicted
  }

  /** Entries that were forgotten for want of use so far. */
  get expired(): number {
    return this.#store.expired
  }

  /** Calls of `track` so far that found the table full of tracked entries. */
  get refused(): number {
    return this.#store.refused
  }

  /** Bytes of memory that the table holds. Grows with the entries up to that of `size` of them. */
  get bytes(): number {
    return this.#store.bytes
  }

  /** The key fits the table's type: it could be tracked, if there is room. */
  fits(key: TableKey): boolean {
    return this.#store.fits(key)
  }

  /**
   * The entry of `key`, made where there is none, and marked as used now.
   * @returns undefined where the key does not fit the table's type (`keyCodec` says what does), or
   *   where the table is full and every entry is tracked (`refused` is then one higher).
   */
  track(key: TableKey): TableEntry | undefined {
    const entry = this.#store.track(key, this.#clock.now())
    return entry === 0 ? undefined : entry
  }

  /** The entry of `key` where there is one. Does not mark it as used. */
  lookup(key: TableKey): TableEntry | undefined {
    const entry = this.#store.lookup(key, this.#clock.now())
    return entry === 0 ? undefined : entry
  }

  /** What is stored for an entry, rates as of now. */
  row(entry: TableEntry): Partial<Record<DataType, number>> {
    const data: Partial<Record<DataType, number>> = {}
    for (const name of this.#layout.stored) data[name] = this.#read(entry, name)
    return data
  }

  /** Pins an entry for a connection that tracks it, until it is released as often as retained. */
  retain(entry: TableEntry): void {
    if (this.#store.uses(entry) === FREE) throw this.#stateError('retain', entry)
    this.#store.pin(entry)
  }

  /** Undoes one `retain`. The last one marks the entry as used now. */
  release(entry: TableEntry): void {
    const uses = this.#store.uses(entry)
    if (uses === 0 || uses === FREE) throw this.#stateError('release', entry)
    this.#store.unpin(entry, this.#clock.now())
  }

  /**
   * A counter, or a rate over its window until now. gpc0 of which only the rate is stored reads
   * 0, so that `gpc0 = gpc0 + 1` feeds it.
   * @throws SluiceError (ERR_SLUICE_ARGUMENT) for what the table does not store: the same object
   *   each time, so that it can be told once.
   */
  get(entry: TableEntry, name: DataType): number {
    this.mustRead(name)
    return this.#read(entry, name)
  }

  /** @throws SluiceError (ERR_SLUICE_ARGUMENT) where `get` does. */
  mustRead(name: DataType): void {
    if (!this.#readable.has(name)) throw this.#missing(name)
  }

  /** @throws SluiceError (ERR_SLUICE_ARGUMENT) where `set` and `add` do, whatever the value. */
  mustWrite(name: DataType): void {
    if (!this.#writable.has(name)) throw this.#missing(name)
  }

  /** @throws SluiceError (ERR_SLUICE_ARGUMENT) where `set` and `add` do. */
  mustTake(name: DataType, value: number): void {
    this.mustWrite(name)
    if (!Number.isFinite(value)) throw this.#valueError(name, value)
  }

  #read(entry: TableEntry, name: DataType): number {
    const { at, isRate, rate } = this.#layout.columns[name]
    if (at >= 0)
      return this.#store.doubles[entry >>> CHUNK_SHIFT]![this.#double(entry) + at] as number
    if (!isRate || rate === undefined) return 0
    return readRate(
      this.#cells(entry, rate),
      this.#cell(entry, rate),
      rate.slice,
      this.#clock.now(),
    )
  }

  /**
   * Adds a whole number (a fraction is cut off) to a counter, which never falls below 0. One rise
   * feeds both the counter and its rate, each where it is stored: connCnt and connRate, sessCnt
   * and sessRate, bytesInCnt and bytesInRate, bytesOutCnt and bytesOutRate, gpc0 and gpc0Rate.
   * Under the name of a rate, only the rate is fed.
   * @throws SluiceError (ERR_SLUICE_ARGUMENT) for what is no number, and for what is not stored
   *   in either form.
   */
  add(entry: TableEntry, name: DataType, delta: number): void {
    this.mustTake(name, delta)
    this.count(entry, name, delta)
  }

  /** As `add` with a finite number; nothing where the table does not store it. */
  count(entry: TableEntry, name: DataType, delta: number): void {
    const { onWrite } = this
    if (onWrite !== undefined) onWrite(entry, false)
    const whole = Math.trunc(delta)
    const { at, rate } = this.#layout.columns[name]
    if (at >= 0) {
      const doubles = this.#store.doubles[entry >>> CHUNK_SHIFT]!
      const index = this.#double(entry) + at
      const sum = (doubles[index] as number) + whole
      doubles[index] = Math.max(sum, 0)
    }
    if (rate !== undefined && whole > 0) {
      const now = this.#clock.now()
      feedRate(this.#cells(entry, rate), this.#cell(entry, rate), rate.slice, now, whole)
    }
    if (onWrite !== undefined) onWrite(entry, true)
  }

  /**
   * Sets a counter to a whole number (a fraction is cut off, less than 0 is 0). A rise feeds the
   * rate as with `add`, so `gpc0 = gpc0 + 1` counts in gpc0Rate. Under the name of a rate, makes
   * the rate read `value` now.
   * @throws SluiceError (ERR_SLUICE_ARGUMENT) for what is no number, and for what is not stored
   *   in either form.
   */
  set(entry: TableEntry, name: DataType, value: number): void {
    this.mustTake(name, value)
    const { isRate, rate } = this.#layout.columns[name]
    const whole = Math.max(Math.trunc(value), 0)
    if (!isRate) this.count(entry, name, whole - this.#read(entry, name))
    else if (rate !== undefined) {
      const now = this.#clock.now()
      this.onWrite?.(entry, false)
      setRate(this.#cells(entry, rate), this.#cell(entry, rate), rate.slice, now, whole)
      this.onWrite?.(entry, true)
    }
  }

  /**
   * The key as kept: an address as text (IPv4-mapped as IPv4), a number, text, or binary as
   * hexadecimal digits.
   */
  keyOf(entry: TableEntry): string | number {
    return this.#codec.decode(this.#store.words[entry >>> CHUNK_SHIFT]!, this.#row(entry) + Row.KEY)
  }

  /** Removes the key's entry. False where there is none, or where a connection tracks it. */
  remove(key: TableKey): boolean {
    const entry = this.lookup(key)
    if (entry === undefined || this.#store.uses(entry) > 0) return false
    this.#store.forget(entry)
    return true
  }

  /** Removes every entry that no connection tracks; returns how many. */
  clear(): number {
    const before = this.entries
    for (;;) {
      const entry = this.#store.oldest()
      if (entry === 0) return before - this.#store.entries
      this.#store.forget(entry)
    }
  }

  /** Entries as they are when reached, in no order, at most `limit`. The table may change meanwhile. */
  *dump(limit = Number.POSITIVE_INFINITY): IterableIterator<TableRow> {
    let left = limit
    for (let entry = 1; entry <= this.#store.rows && left > 0; entry++) {
      const uses = this.#store.uses(entry)
      const now = this.#clock.now()
      if (uses === FREE || this.#store.isExpired(entry, now)) continue
      left--
      const idle = uses > 0 ? 0 : this.#store.idle(entry, now)
      yield { key: this.keyOf(entry), uses, idle, data: this.row(entry) }
    }
  }

  /** First word of the entry's row within its chunk. */
  #row(entry: TableEntry): number {
    return (entry & ROW_MASK) * this.#store.stride
  }

  #double(entry: TableEntry): number {
    return this.#row(entry) >>> 1
  }

  #cells(entry: TableEntry, rate: RateColumn): Uint32Array | Float64Array {
    const chunk = entry >>> CHUNK_SHIFT
    return rate.wide ? this.#store.doubles[chunk]! : this.#store.words[chunk]!
  }

  #cell(entry: TableEntry, rate: RateColumn): number {
    return (rate.wide ? this.#double(entry) : this.#row(entry)) + rate.at
  }

  #stateError(call: string, entry: TableEntry): SluiceError {
    const why = call === 'retain' ? 'was removed' : 'is not retained'
    return new SluiceError(
      'ERR_SLUICE_STATE',
      `table '${this.name}': ${call}: entry ${entry} ${why}`,
    )
  }

  #missing(name: string): SluiceError {
    const known = this.#told.get(name)
    if (known !== undefined) return known
    const isName = Object.hasOwn(this.#layout.columns, name)
    const table = `table '${this.name}'`
    const message = isName
      ? `${table} does not store ${name}: add it to 'tables.${this.name}.store'.`
      : `${table} has no ${inspect(name)}: expected one of ${Object.keys(this.#layout.columns).join(', ')}.`
    const error = new SluiceError('ERR_SLUICE_ARGUMENT', message)
    // The names that there are, and not what callers make up.
    if (isName) this.#told.set(name, error)
    return error
  }

  #valueError(name: DataType, value: number): SluiceError {
    const expected = `table '${this.name}': ${name}: expected a finite number, got ${inspect(value)}`
    return new SluiceError('ERR_SLUICE_ARGUMENT', expected)
  }
}
