/**
 * Commands as records of eight integers: kind, slot, generation and five operands, with bytes
 * beside them. Pure: what carries them is the sink's business.
 */

import { Command, Layout, SendFlag } from '../../wire/wire.js'

/** Where records go, in their order: a ring, or whatever else carries them. */
export interface CommandSink {
  /** A command of numbers only. */
  write(
    kind: number,
    slot: number,
    generation: number,
    a: number,
    b: number,
    c: number,
    d: number,
    e?: number,
  ): void
  /**
   * A command with bytes, at most Layout.MAX_CHUNK of them, or a reply; their offset and length
   * become operands `bytesAt` and `bytesAt + 1`. The bytes are copied.
   */
  writeBytes(words: readonly number[], bytesAt: number, bytes: Uint8Array): void
}

/** Encodes the commands about the connections of one worker, as `Engine` has them. */
export class CommandEncoder {
  readonly #sink: CommandSink
  readonly #firstConn: number
  readonly #epochs: Uint8Array

  /**
   * `firstConn`: table index of the worker's slot 0. `epochs`: counts the commands by connection;
   * who decodes the events has the same, and drops what was shown before the last of them.
   */
  constructor(sink: CommandSink, firstConn: number, epochs: Uint8Array) {
    this.#sink = sink
    this.#firstConn = firstConn
    this.#epochs = epochs
  }

  proceed(
    conn: number,
    generation: number,
    clear: number,
    set: number,
    consume: number,
    context: number,
    flags: number,
  ): void {
    this.#count(conn)
    const slot = conn - this.#firstConn
    this.#sink.write(Command.PROCEED, slot, generation, clear, set, consume, context, flags)
  }

  inspect(conn: number, generation: number, limit: number, delay: number, consume: number): void {
    this.#numbers(Command.INSPECT, conn, generation, limit, delay, consume)
  }

  /** `bytes`: at most Layout.MAX_CHUNK. */
  replace(conn: number, generation: number, bytes: Uint8Array, consume: number): void {
    const slot = conn - this.#firstConn
    this.#bytes(conn, [Command.REPLACE, slot, generation, 0, 0, consume, 0, 0], 3, bytes)
  }

  connect(
    conn: number,
    generation: number,
    route: number,
    flags: number,
    consume: number,
    tlvs?: Uint8Array,
  ): void {
    if (tlvs === undefined || tlvs.length === 0) {
      this.#numbers(Command.CONNECT, conn, generation, route, flags, consume)
    } else {
      const slot = conn - this.#firstConn
      this.#bytes(conn, [Command.CONNECT, slot, generation, route, flags, consume, 0, 0], 6, tlvs)
    }
  }

  applet(conn: number, generation: number, credit: number, consume: number): void {
    this.#numbers(Command.APPLET, conn, generation, credit, 0, consume)
  }

  credit(conn: number, generation: number, bytes: number): void {
    this.#numbers(Command.CREDIT, conn, generation, bytes, 0, 0)
  }

  /** One record for each Layout.MAX_CHUNK bytes; `fin` is in the last. */
  send(conn: number, generation: number, bytes: Uint8Array, fin: boolean): void {
    const slot = conn - this.#firstConn
    let at = 0
    // As with a time-out, what is shown goes on: no epoch.
    do {
      const chunk = bytes.subarray(at, at + Layout.MAX_CHUNK)
      at += chunk.length
      const flags = fin && at >= bytes.length ? SendFlag.FIN : 0
      this.#sink.writeBytes([Command.SEND, slot, generation, 0, 0, flags, 0, 0], 3, chunk)
    } while (at < bytes.length)
  }

  reply(conn: number, generation: number, bytes: Uint8Array, reason: number): void {
    const slot = conn - this.#firstConn
    this.#bytes(conn, [Command.REPLY, slot, generation, 0, 0, reason, 0, 0], 3, bytes)
  }

  close(conn: number, generation: number, reason: number, mode: number, hold: number): void {
    this.#numbers(Command.CLOSE, conn, generation, reason, mode, hold)
  }

  /** Changes nothing about what is shown of the connection: it counts no epoch. */
  setTimeout(conn: number, generation: number, which: number, ms: number): void {
    const slot = conn - this.#firstConn
    this.#sink.write(Command.SET_TIMEOUT, slot, generation, which, ms, 0, 0)
  }

  /** Operand `d` is the epoch. */
  #numbers(kind: number, conn: number, generation: number, a: number, b: number, c: number): void {
    const epoch = this.#count(conn)
    this.#sink.write(kind, conn - this.#firstConn, generation, a, b, c, epoch)
  }

  #bytes(conn: number, words: readonly number[], bytesAt: number, bytes: Uint8Array): void {
    this.#count(conn)
    this.#sink.writeBytes(words, bytesAt, bytes)
  }

  #count(conn: number): number {
    this.#epochs[conn] = (this.#epochs[conn] as number) + 1
    return this.#epochs[conn] as number
  }
}
