/**
 * A worker's command ring, as the side that writes it. What does not fit waits in a queue and is
 * written when the worker has made room: nothing is dropped, nothing blocks.
 */

import { Control, Layout, Region } from '../../wire/wire.js'
import type { CommandSink } from '../record/commands.js'

const RECORD = Layout.RECORD_WORDS
const MASK = Layout.POSITION_MASK

interface Waiting {
  words: readonly number[]
  bytesAt: number
  bytes: Uint8Array | undefined
}

export class CommandRing implements CommandSink {
  readonly #words: Int32Array
  readonly #slab: Uint8Array
  #head = 0
  #tail = 0
  #published = 0
  /** Slab bytes in use: [position of the command, bytes] in order. */
  readonly #pieces: [number, number][] = []
  #slabHead = 0
  #slabUsed = 0
  #waiting: Waiting[] = []

  constructor(words: Int32Array) {
    this.#words = words
    this.#slab = new Uint8Array(
      words.buffer,
      words.byteOffset + Region.COMMAND_SLAB * 4,
      Layout.COMMAND_SLAB_BYTES,
    )
  }

  write(
    kind: number,
    slot: number,
    generation: number,
    a: number,
    b: number,
    c: number,
    d: number,
    e = 0,
  ): void {
    if (this.#waiting.length === 0 && this.#room()) this.#put(kind, slot, generation, a, b, c, d, e)
    else
      this.#waiting.push({
        words: [kind, slot, generation, a, b, c, d, e],
        bytesAt: 0,
        bytes: undefined,
      })
  }

  writeBytes(words: readonly number[], bytesAt: number, bytes: Uint8Array): void {
    if (this.#waiting.length > 0 || !this.#tryBytes(words, bytesAt, bytes)) {
      this.#waiting.push({ words, bytesAt, bytes: bytes.slice() })
    }
  }

  /** Commands whose bytes are still in the slab, as far as is known. */
  get pieces(): number {
    return this.#pieces.length
  }

  /** Publishes what was written. True where the worker sleeps and must be woken. */
  flush(): boolean {
    // Each time, and not only when the slab is full: small pieces hardly ever fill it.
    if (this.#pieces.length > 0) this.#release()
    if (this.#waiting.length > 0) this.#retry()
    if (this.#published === this.#head) return false
    this.#published = this.#head
    Atomics.store(this.#words, Control.COMMAND_HEAD, this.#head)
    return Atomics.compareExchange(this.#words, Control.SLEEPING, 1, 0) === 1
  }

  #retry(): void {
    this.#drainWaiting()
    if (this.#waiting.length === 0) return
    // Announce, then look again: the worker moves its tail before it looks at this word.
    Atomics.store(this.#words, Control.COMMANDS_WAITING, 1)
    this.#drainWaiting()
  }

  #drainWaiting(): void {
    let done = 0
    for (const { words, bytesAt, bytes } of this.#waiting) {
      if (bytes ? !this.#tryBytes(words, bytesAt, bytes) : !this.#room()) break
      if (!bytes)
        this.#put(...(words as [number, number, number, number, number, number, number, number]))
      done++
    }
    if (done > 0) this.#waiting = this.#waiting.slice(done)
  }

  #room(): boolean {
    if (((this.#head - this.#tail) & MASK) < Layout.COMMAND_CAPACITY) return true
    this.#tail = Atomics.load(this.#words, Control.COMMAND_TAIL)
    return ((this.#head - this.#tail) & MASK) < Layout.COMMAND_CAPACITY
  }

  #tryBytes(words: readonly number[], bytesAt: number, bytes: Uint8Array): boolean {
    if (!this.#room()) return false
    const offset = this.#allocate(bytes.length)
    if (offset < 0) return false
    this.#slab.set(bytes, offset)
    const record = words.slice() as [number, number, number, number, number, number, number, number]
    record[bytesAt] = offset
    record[bytesAt + 1] = bytes.length
    this.#put(...record)
    return true
  }

  /** Offset of a contiguous piece, or -1 while the slab is full. */
  #allocate(length: number): number {
    const capacity = Layout.COMMAND_SLAB_BYTES
    const toEnd = capacity - this.#slabHead
    const skip = length > toEnd ? toEnd : 0
    if (this.#slabUsed + skip + length > capacity) {
      this.#release()
      if (this.#slabUsed + skip + length > capacity) return -1
    }
    const offset = skip > 0 ? 0 : this.#slabHead
    // Nothing to free: an end without bytes.
    if (length === 0) return offset
    this.#slabHead = (offset + length) % capacity
    this.#slabUsed += skip + length
    this.#pieces.push([this.#head, skip + length])
    return offset
  }

  #release(): void {
    this.#tail = Atomics.load(this.#words, Control.COMMAND_TAIL)
    let done = 0
    for (const [position, length] of this.#pieces) {
      // Consumed once the tail is past it.
      const ahead = (this.#tail - position) & MASK
      if (ahead === 0 || ahead > MASK / 2) break
      this.#slabUsed -= length
      done++
    }
    this.#pieces.splice(0, done)
    // The same pages again, rather than all of the slab's in turn.
    if (this.#pieces.length === 0) this.#slabHead = 0
  }

  #put(
    kind: number,
    slot: number,
    generation: number,
    a: number,
    b: number,
    c: number,
    d: number,
    e: number,
  ): void {
    const words = this.#words
    const at = Region.COMMAND_RING + (this.#head & (Layout.COMMAND_CAPACITY - 1)) * RECORD
    words[at] = kind
    words[at + 1] = slot
    words[at + 2] = generation
    words[at + 3] = a
    words[at + 4] = b
    words[at + 5] = c
    words[at + 6] = d
    words[at + 7] = e
    this.#head = (this.#head + 1) & MASK
  }
}
