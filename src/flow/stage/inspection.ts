/**
 * The first bytes of a client as handshake rules see them: what the engine has shown, less what
 * rules took away, behind what they put in front. An edit is made here and told to the engine
 * with the next command, so that a list of rules that answers at once costs one command.
 */

import { MOST_SHORT } from '../../policy/fields.js'
import { BytesFlag } from '../../wire/wire.js'
import { Prefix } from './prefix.js'

const EMPTY = new Uint8Array(0)

export class Inspection {
  /** Position of the rule whose turn it is. */
  index = 0
  /** What that rule sees: at most its limit. Lasts: policy may keep it across a promise. */
  shown: Uint8Array = EMPTY
  /** It is called a last time: no more will come, or no more is shown. */
  last = false
  /** Its time for bytes is over. */
  expired = false
  /** The client's FIN came. */
  eof = false
  /** Something came while an answer was awaited. */
  news = false
  /** Clock until which the rule may wait; 0: nobody has asked. */
  until = 0
  /** Position of the rule for which the engine is asked for bytes; -1: for none. */
  asked = -1
  /** Bytes that were left when the rule was called. */
  #before = 0
  /** The time of a rule is over, and nothing has come since: those behind need not wait for it again. */
  #quiet = false
  #prefix = new Prefix()
  /** What the engine has shown. */
  #all: Uint8Array = EMPTY
  /** Bytes at its beginning that rules took. */
  #taken = 0
  /** What rules put in front of the rest. */
  #front: Uint8Array = EMPTY
  /** Both together. */
  #left: Uint8Array = EMPTY

  /** Bytes that nobody has taken. */
  get left(): number {
    return this.#left.length
  }

  /** Bytes to be dropped in the engine. */
  get taken(): number {
    return this.#taken
  }

  /** Bytes to be put in front there; empty for none. */
  get front(): Uint8Array {
    return this.#front
  }

  /** The engine shows all there is so far. False where a rule has seen as much already. */
  arrived(bytes: Uint8Array, flags: number): boolean {
    const eof = (flags & BytesFlag.EOF) !== 0
    const expired = (flags & BytesFlag.EXPIRED) !== 0
    const newer = bytes.length !== this.#all.length
    if (!newer && !expired && eof === this.eof) return false
    this.eof = eof
    this.expired ||= expired
    if (newer) {
      this.#quiet = false
      this.#all = this.#prefix.grow(bytes)
      this.#join()
    }
    return true
  }

  /**
   * The rule at `index` is to see what there is, at most `limit` bytes. False where it must wait
   * first: it wants `needs` bytes. `whole`: fewer of them never do.
   */
  turn(index: number, limit: number, needs: number, whole: boolean): boolean {
    if (index !== this.index) {
      this.index = index
      this.until = 0
      this.#quiet ||= this.expired
      this.expired = false
    }
    this.news = false
    this.#before = this.left
    this.shown = this.left > limit ? this.#left.subarray(0, limit) : this.#left
    this.last = this.stuck(limit)
    if (this.shown.length >= needs) return true
    return !whole && (this.last || this.#quiet)
  }

  /** More never comes, or is not shown to a rule with this limit. */
  stuck(limit: number): boolean {
    return this.eof || this.expired || this.left >= limit
  }

  /** Whether the rule that wants more has something to look at right now. */
  get again(): boolean {
    return this.news || (this.left > 0 && this.left < this.#before)
  }

  /** Takes `count` bytes away from whoever is next. Throws a RangeError. */
  consume(count: number): void {
    const seen = this.shown.length
    if (!Number.isInteger(count) || count < 0 || count > seen) {
      throw new RangeError(`consume is ${count} of ${seen} bytes`)
    }
    const own = Math.min(count, this.#front.length)
    this.#front = this.#front.subarray(own)
    this.#taken += count - own
    this.shown = this.shown.subarray(count)
    this.#join()
  }

  /** Puts `bytes` before everything that is left. Throws a RangeError. */
  insert(bytes: Uint8Array): void {
    if (this.#front.length + bytes.length > MOST_SHORT) {
      throw new RangeError(`prepend: at most ${MOST_SHORT} bytes in all`)
    }
    this.#front = joined(bytes, this.#front)
    this.#join()
  }

  /** The engine knows of the edits: what it shows from here on begins behind them. */
  told(): void {
    if (this.#taken === 0 && this.#front.length === 0) return
    this.#all = this.#left
    this.#prefix = new Prefix()
    this.#prefix.grow(this.#all)
    this.#taken = 0
    this.#front = EMPTY
  }

  /** What comes from here on is another stream, for the rule behind this one: TLS begins. */
  restart(): void {
    this.#prefix = new Prefix()
    this.#all = EMPTY
    this.#taken = 0
    this.#join()
    this.shown = EMPTY
    this.expired = false
    this.#quiet = false
    this.news = false
    this.until = 0
    this.asked = -1
    this.index++
  }

  #join(): void {
    const rest = this.#taken === 0 ? this.#all : this.#all.subarray(this.#taken)
    this.#left = this.#front.length === 0 ? rest : joined(this.#front, rest)
  }
}

function joined(front: Uint8Array, rest: Uint8Array): Uint8Array {
  if (rest.length === 0) return front
  const whole = new Uint8Array(front.length + rest.length)
  whole.set(front)
  whole.set(rest, front.length)
  return whole
}
