/**
 * The entries of a stick table: found by key, bounded in number, evicted and
 * expired by use.
 *
 * Rows live in chunks of typed arrays that are added as the table fills and
 * reused afterwards. Entries that no connection tracks are in one list ordered by
 * use: its old end is both what is evicted and what expires first. Pinned ones are
 * outside of it, so that every operation takes constant time.
 */

import { randomInt } from 'node:crypto'
import { hashWords } from './hash.js'
import type { KeyCodec, TableKey } from './key.js'
import { Row } from './layout.js'

export const CHUNK_SHIFT = 12
const CHUNK_ROWS = 1 << CHUNK_SHIFT
export const ROW_MASK = CHUNK_ROWS - 1
/** In `Row.USES` of a row that is on the free list. */
export const FREE = 0xffff_ffff
/** Row 0 is nobody's entry: it is the head of the list by use, which is a ring. */
const HEAD = 0
/** Expired entries that one `track` takes out: more than it can add, so that they never pile up. */
const SWEEP = 2

export class EntryStore {
  /** Row of entry `e`: `words[e >>> CHUNK_SHIFT]` from `(e & ROW_MASK) * stride`. */
  readonly words: Uint32Array[] = []
  /** The same memory. */
  readonly doubles: Float64Array[] = []
  readonly stride: number
  /** Rows that were ever used: entries are 1 to this. */
  rows = 0
  /** Includes expired ones that were not taken out yet. */
  entries = 0
  evicted = 0
  expired = 0
  refused = 0
  readonly #codec: KeyCodec
  readonly #size: number
  /** ms. */
  readonly #expire: number
  /** First entry of each bucket, 0 for none. Made for `size` at once, as untouched pages cost no memory. */
  readonly #buckets: Uint32Array
  readonly #bucketMask: number
  readonly #secret0 = randomInt(2 ** 32)
  readonly #secret1 = randomInt(2 ** 32)
  /** The key being looked for. */
  readonly #key: Uint32Array
  #free = 0

  /** @param expire ms, 0 for never. @param stride Words of a row, even. */
  constructor(codec: KeyCodec, size: number, expire: number, stride: number) {
    this.#codec = codec
    this.#size = size
    this.#expire = expire > 0 ? expire : Number.POSITIVE_INFINITY
    this.stride = stride
    const buckets = 2 ** Math.ceil(Math.log2(Math.max(size, 2)))
    this.#buckets = new Uint32Array(buckets)
    this.#bucketMask = buckets - 1
    this.#key = new Uint32Array(codec.width)
    this.#addChunk()
  }

  /** Bytes held now. */
  get bytes(): number {
    return this.words.reduce((sum, chunk) => sum + chunk.byteLength, this.#buckets.byteLength)
  }

  /** The key fits the table's type. */
  fits(key: TableKey): boolean {
    return this.#codec.encode(key, this.#key) > 0
  }

  /** Found or made, and marked as used; 0 where the key does not fit or there is no room. */
  track(key: TableKey, now: number): number {
    const length = this.#codec.encode(key, this.#key)
    if (length === 0) return 0
    this.sweep(now, SWEEP)
    const bucket = this.#bucketOf(this.#key, 0, length)
    const found = this.#find(bucket, length)
    if (found !== 0) {
      if (!this.isExpired(found, now)) {
        this.#touch(found, now)
        return found
      }
      this.forget(found)
      this.expired++
    }
    return this.#create(bucket, length, now)
  }

  /** 0 where there is none or it has expired. */
  lookup(key: TableKey, now: number): number {
    const length = this.#codec.encode(key, this.#key)
    if (length === 0) return 0
    const found = this.#find(this.#bucketOf(this.#key, 0, length), length)
    return found === 0 || this.isExpired(found, now) ? 0 : found
  }

  /** Connections that track the entry, or `FREE`. */
  uses(entry: number): number {
    return this.#read(entry, Row.USES)
  }

  /** ms since the last use. Precondition: not pinned. */
  idle(entry: number, now: number): number {
    const double = (((entry & ROW_MASK) * this.stride) >>> 1) + Row.TOUCHED / 2
    return now - (this.doubles[entry >>> CHUNK_SHIFT]![double] as number)
  }

  isExpired(entry: number, now: number): boolean {
    return this.uses(entry) === 0 && this.idle(entry, now) >= this.#expire
  }

  /** Precondition: not free. */
  pin(entry: number): void {
    const uses = this.uses(entry)
    if (uses === 0) this.#unlink(entry)
    this.#write(entry, Row.USES, uses + 1)
  }

  /** Precondition: pinned. */
  unpin(entry: number, now: number): void {
    const uses = this.uses(entry) - 1
    this.#write(entry, Row.USES, uses)
    if (uses === 0) this.#link(entry, now)
  }

  /** Takes out at most `limit` expired entries. */
  sweep(now: number, limit: number): void {
    for (let left = limit; left > 0; left--) {
      const entry = this.oldest()
      if (entry === HEAD || this.idle(entry, now) < this.#expire) return
      this.forget(entry)
      this.expired++
    }
  }

  /** Least recently used entry that is not pinned, 0 where there is none. */
  oldest(): number {
    return this.#read(HEAD, Row.NEWER)
  }

  /** Removes an entry. Precondition: neither pinned nor free. */
  forget(entry: number): void {
    const words = this.words[entry >>> CHUNK_SHIFT]!
    const key = (entry & ROW_MASK) * this.stride + Row.KEY
    const bucket = this.#bucketOf(words, key, this.#codec.lengthAt(words, key))
    const next = this.#read(entry, Row.CHAIN)
    let before = this.#buckets[bucket] as number
    if (before === entry) this.#buckets[bucket] = next
    else {
      for (let at = this.#read(before, Row.CHAIN); at !== entry; ) {
        before = at
        at = this.#read(at, Row.CHAIN)
      }
      this.#write(before, Row.CHAIN, next)
    }
    this.#unlink(entry)
    this.#write(entry, Row.USES, FREE)
    this.#write(entry, Row.CHAIN, this.#free)
    this.#free = entry
    this.entries--
  }

  #create(bucket: number, length: number, now: number): number {
    if (this.entries >= this.#size) {
      const oldest = this.oldest()
      if (oldest === HEAD) {
        this.refused++
        return 0
      }
      this.forget(oldest)
      this.evicted++
    }
    const entry = this.#takeRow()
    const words = this.words[entry >>> CHUNK_SHIFT]!
    const row = (entry & ROW_MASK) * this.stride
    const end = row + this.stride
    let at = row + Row.KEY
    for (let i = 0; i < length; i++) words[at++] = this.#key[i] as number
    while (at < end) words[at++] = 0
    words[row + Row.USES] = 0
    words[row + Row.CHAIN] = this.#buckets[bucket] as number
    this.#buckets[bucket] = entry
    this.#link(entry, now)
    this.entries++
    return entry
  }

  #takeRow(): number {
    const free = this.#free
    if (free !== 0) {
      this.#free = this.#read(free, Row.CHAIN)
      return free
    }
    const entry = ++this.rows
    if (entry >>> CHUNK_SHIFT === this.words.length) this.#addChunk()
    return entry
  }

  #addChunk(): void {
    const rows = Math.min(CHUNK_ROWS, this.#size + 1 - this.words.length * CHUNK_ROWS)
    const words = new Uint32Array(rows * this.stride)
    this.words.push(words)
    this.doubles.push(new Float64Array(words.buffer))
  }

  #bucketOf(words: Uint32Array, at: number, length: number): number {
    return hashWords(words, at, length, this.#secret0, this.#secret1) & this.#bucketMask
  }

  /** Entry in the bucket with the key being looked for, 0 for none. */
  #find(bucket: number, length: number): number {
    const key = this.#key
    for (let entry = this.#buckets[bucket] as number; entry !== 0; ) {
      const words = this.words[entry >>> CHUNK_SHIFT]!
      const row = (entry & ROW_MASK) * this.stride
      let i = 0
      while (i < length && words[row + Row.KEY + i] === key[i]) i++
      if (i === length) return entry
      entry = words[row + Row.CHAIN] as number
    }
    return 0
  }

  #touch(entry: number, now: number): void {
    if (this.uses(entry) > 0) return
    this.#unlink(entry)
    this.#link(entry, now)
  }

  /** Makes the entry the most recently used one. */
  #link(entry: number, now: number): void {
    const double = (((entry & ROW_MASK) * this.stride) >>> 1) + Row.TOUCHED / 2
    this.doubles[entry >>> CHUNK_SHIFT]![double] = now
    const newest = this.#read(HEAD, Row.OLDER)
    this.#write(entry, Row.OLDER, newest)
    this.#write(entry, Row.NEWER, HEAD)
    this.#write(newest, Row.NEWER, entry)
    this.#write(HEAD, Row.OLDER, entry)
  }

  #unlink(entry: number): void {
    const older = this.#read(entry, Row.OLDER)
    const newer = this.#read(entry, Row.NEWER)
    this.#write(older, Row.NEWER, newer)
    this.#write(newer, Row.OLDER, older)
  }

  #read(entry: number, field: number): number {
    return this.words[entry >>> CHUNK_SHIFT]![(entry & ROW_MASK) * this.stride + field] as number
  }

  #write(entry: number, field: number, value: number): void {
    this.words[entry >>> CHUNK_SHIFT]![(entry & ROW_MASK) * this.stride + field] = value
  }
}
