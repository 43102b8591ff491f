/**
 * What policy is shown of a head: numbers, an index, and the bytes, as they stand in the event slab
 * (`HttpFact`). Text is made when it is asked for, and once.
 */

import { HttpFact, HttpField, HttpFlag } from '../../wire/wire.js'
import { latin1 } from './grammar.js'
import { nameNumber } from './names.js'

const WORD = 4
const FIELD_WORDS = 2
const SPAN_SHIFT = 16
const SPAN_START = 0xffff
const METHOD = 0xff

/** A head as policy is shown it. A view: valid as long as its bytes are. */
export class HeadFacts {
  readonly #words: Int32Array
  readonly #head: Uint8Array

  /** `bytes`: facts, fields and head, aligned to four bytes. */
  constructor(bytes: Uint8Array) {
    const counts = new Int32Array(bytes.buffer, bytes.byteOffset, HttpFact.WORDS)[HttpFact.COUNTS]
    const fields = (counts as number) & SPAN_START
    const words = HttpFact.WORDS + fields * FIELD_WORDS
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, words)
    const length = (counts as number) >>> SPAN_SHIFT
    this.#head = bytes.subarray(words * WORD, words * WORD + length)
  }

  /** Number of the request on its connection. */
  get number(): number {
    return this.#word(HttpFact.NUMBER)
  }

  /** Whether a HttpFlag is set. */
  has(flag: number): boolean {
    return (this.#word(HttpFact.FLAGS) & flag) !== 0
  }

  /** Content-Length; undefined where none was sent. */
  get length(): bigint | undefined {
    if (!this.has(HttpFlag.LENGTH)) return undefined
    const low = BigInt(this.#word(HttpFact.LENGTH_LOW) >>> 0)
    return (BigInt(this.#word(HttpFact.LENGTH_HIGH) >>> 0) << 32n) | low
  }

  /** HttpMethod of a request; 0 for any other. */
  get methodId(): number {
    return this.#word(HttpFact.FLAGS) & METHOD
  }

  /** As it was sent: it begins the head, and a space is behind it. */
  get method(): string {
    return latin1(this.#head, 0, (this.#word(HttpFact.TARGET) & SPAN_START) - 1)
  }

  get target(): string {
    return this.#span(HttpFact.TARGET)
  }

  /** Without the query; '' where the target has none. */
  get path(): string {
    return this.#span(HttpFact.PATH)
  }

  /** Behind the '?'; undefined where there is no '?'. */
  get query(): string | undefined {
    return this.#word(HttpFact.QUERY) === 0 ? undefined : this.#span(HttpFact.QUERY)
  }

  get host(): string {
    return this.#span(HttpFact.HOST)
  }

  /** 0 where none was named. */
  get port(): number {
    return this.#word(HttpFact.PORT)
  }

  get status(): number {
    return this.#word(HttpFact.TARGET)
  }

  get reason(): string {
    return this.#span(HttpFact.PATH)
  }

  /** Fields, those of this connection only among them. */
  get count(): number {
    return this.#word(HttpFact.COUNTS) & SPAN_START
  }

  /** Whether a field of a well-known name is there, and goes further. */
  hasName(id: number): boolean {
    return (this.#word(HttpFact.NAMES + (id >>> 5)) & (1 << (id & 31))) !== 0
  }

  /** Of this connection only: nobody sees it, and it goes no further. */
  isHop(index: number): boolean {
    return ((this.#name(index) >>> HttpField.ID_SHIFT) & HttpField.HOP) !== 0
  }

  /** HttpName of a field, or 0. */
  idOf(index: number): number {
    return (this.#name(index) >>> HttpField.ID_SHIFT) & (HttpField.HOP - 1)
  }

  /** As it was sent. */
  nameOf(index: number): string {
    const word = this.#name(index)
    const start = word & SPAN_START
    return latin1(this.#head, start, start + ((word >>> HttpField.NAME_LENGTH_SHIFT) & 0xff))
  }

  valueOf(index: number): string {
    return this.#text(this.#word(HttpFact.WORDS + index * FIELD_WORDS + 1))
  }

  /** Places of the fields of a name in lower case, but for those of this connection only. */
  placesOf(name: string): number[] {
    const id = nameNumber(name)
    if (id !== 0 && !this.hasName(id)) return []
    const places: number[] = []
    for (let i = 0; i < this.count; i++) {
      const word = this.#name(i)
      if (word >>> HttpField.ID_SHIFT !== id) continue
      // A hop has its bit in the number, so that it is none of these; of the rest names are compared.
      if (id !== 0 || this.#isNamed(i, name)) places.push(i)
    }
    return places
  }

  /** A copy that outlives the bytes: for a policy that answers later. */
  copy(): HeadFacts {
    const words = this.#words.byteLength
    const bytes = new Uint8Array(words + this.#head.length)
    bytes.set(new Uint8Array(this.#words.buffer, this.#words.byteOffset, words))
    bytes.set(this.#head, words)
    return new HeadFacts(bytes)
  }

  #isNamed(index: number, name: string): boolean {
    const length = (this.#name(index) >>> HttpField.NAME_LENGTH_SHIFT) & 0xff
    return length === name.length && this.nameOf(index).toLowerCase() === name
  }

  #name(index: number): number {
    return this.#word(HttpFact.WORDS + index * FIELD_WORDS)
  }

  #span(word: number): string {
    return this.#text(this.#word(word))
  }

  #text(span: number): string {
    const start = span & SPAN_START
    return latin1(this.#head, start, start + (span >>> SPAN_SHIFT))
  }

  #word(index: number): number {
    return this.#words[index] as number
  }
}
