/** Addresses of connections in the connection table. */

import { parseIpInto } from '../../address/parse.js'
import type { ProxyAddresses, ProxyHeader } from '../../codec/proxy.js'
import type { ConnectionTable } from '../../wire/table.js'
import { Family, Field, Layout } from '../../wire/wire.js'

const WORDS = Layout.CONNECTION_WORDS
const EMPTY = new Uint8Array(0)

/** Our own end of connections. A listener that is bound to a specific one knows it beforehand. */
export interface LocalAddress {
  /** Address as the table holds it. */
  words: Int32Array
  port: number
}

/** Both ends of an accepted TCP connection. */
export interface Ends {
  src: string
  srcPort: number
  local: LocalAddress
}

/** Writes an accepted connection's addresses: the client's is the source, ours the destination. */
export function recordEnds(table: ConnectionTable, slot: number, ends: Ends): void {
  const { words } = table
  const at = slot * WORDS
  const family = parseIpInto(ends.src, words, at + Field.SRC)
  words.set(ends.local.words, at + Field.DST)
  words[at + Field.FAMILY] = family === 4 ? Family.INET : Family.INET6
  words[at + Field.PORTS] = ends.srcPort | (ends.local.port << 16)
}

/** Writes where a server's socket goes, as the destination. `address`: '' of a unix socket. */
export function recordDestination(
  table: ConnectionTable,
  slot: number,
  address: string,
  port: number,
): void {
  const { words } = table
  const at = slot * WORDS
  const family = address === '' ? 0 : parseIpInto(address, words, at + Field.DST)
  words[at + Field.FAMILY] = family === 4 ? Family.INET : family === 6 ? Family.INET6 : Family.UNIX
  words[at + Field.PORTS] = port << 16
}

/** Replaces a connection's addresses by those of its PROXY header, where it names any. */
export function recordProxied(table: ConnectionTable, slot: number, header: ProxyHeader): void {
  if (header.family === Family.NONE) return
  const { words } = table
  const at = slot * WORDS
  words.fill(0, at + Field.SRC, at + Field.DST + 4)
  words[at + Field.FAMILY] = header.family
  words[at + Field.PORTS] = header.srcPort | (header.dstPort << 16)
  // Paths of unix sockets have no place in the record.
  if (header.family === Family.UNIX) return
  writeBytes(words, at + Field.SRC, header.src)
  writeBytes(words, at + Field.DST, header.dst)
}

/** A connection's addresses for a PROXY header to be sent. */
export function addressesOf(table: ConnectionTable, slot: number): ProxyAddresses {
  const family = table.get(slot, Field.FAMILY)
  const size = family === Family.INET ? 4 : family === Family.INET6 ? 16 : 0
  const at = slot * WORDS
  return {
    family,
    src: readBytes(table.words, at + Field.SRC, size),
    dst: readBytes(table.words, at + Field.DST, size),
    srcPort: table.srcPort(slot),
    dstPort: table.dstPort(slot),
  }
}

function writeBytes(words: Int32Array, at: number, bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) {
    const index = at + (i >> 2)
    words[index] = (words[index] as number) | ((bytes[i] as number) << (8 * (i & 3)))
  }
}

function readBytes(words: Int32Array, at: number, size: number): Uint8Array {
  if (size === 0) return EMPTY
  return Uint8Array.from(
    { length: size },
    (_, i) => ((words[at + (i >> 2)] as number) >>> (8 * (i & 3))) & 255,
  )
}
