/**
 * The connection table: one record of integers per connection slot, written by
 * the engine and read by policy without crossing anything. Both engines use
 * the layout of crates/wire.
 */

import { formatIpv4, formatIpv6 } from '../address/text.js'
import { Family, Field, Layout } from './wire.js'

const WORDS = Layout.CONNECTION_WORDS

export class ConnectionTable {
  /** Slots in all workers together. */
  readonly slots: number
  readonly words: Int32Array

  constructor(words: Int32Array) {
    this.words = words
    this.slots = Math.floor(words.length / WORDS)
  }

  /** Reads one word of a record. `field` is one of `Field`. */
  get(conn: number, field: number): number {
    return this.words[conn * WORDS + field] as number
  }

  set(conn: number, field: number, value: number): void {
    this.words[conn * WORDS + field] = value
  }

  generation(conn: number): number {
    return this.get(conn, Field.GENERATION)
  }

  /** Source address: dotted or colon form, '' for unix sockets. */
  src(conn: number): string {
    return this.#address(conn, Field.SRC)
  }

  dst(conn: number): string {
    return this.#address(conn, Field.DST)
  }

  srcPort(conn: number): number {
    return this.get(conn, Field.PORTS) & 0xffff
  }

  dstPort(conn: number): number {
    return this.get(conn, Field.PORTS) >>> 16
  }

  /** Bytes received on this connection. Exact once it has ended, else at most one read behind. */
  bytesIn(conn: number): number {
    return this.#counter(conn, Field.BYTES_IN)
  }

  bytesOut(conn: number): number {
    return this.#counter(conn, Field.BYTES_OUT)
  }

  #counter(conn: number, field: number): number {
    return (this.get(conn, field) >>> 0) + this.get(conn, field + 1) * 0x1_0000_0000
  }

  #address(conn: number, field: number): string {
    const family = this.get(conn, Field.FAMILY)
    if (family === Family.INET) return formatIpv4(this.get(conn, field))
    if (family === Family.INET6) return formatIpv6(this.words, conn * WORDS + field)
    return ''
  }
}
