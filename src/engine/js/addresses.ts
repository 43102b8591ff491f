/** Addresses of sockets and PROXY headers in the connection table. */

import type { Socket } from 'node:net'
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

/** Spares a getsockname() a connection; undefined where they may come to different addresses, or to none. */
export function specificAddress(address: string, port: number): LocalAddress | undefined {
  const words = new Int32Array(4)
  const family = parseIpInto(address, words, 0)
  if (family === 0 || words.every((word) => word === 0)) return undefined
  return { words, port }
}

/** Both ends of an accepted TCP connection. */
export interface Ends {
  src: string
  srcPort: number
  local: LocalAddress
}

/**
 * Asks the kernel for both ends, which has to be done at once: a client that has reset has no
 * address any more, and for it the answer is undefined. `local` spares the question about ours.
 */
export function endsOf(socket: Socket, local: LocalAddress | undefined): Ends | undefined {
  const { remoteAddress: src, remotePort: srcPort } = socket
  if (src === undefined || srcPort === undefined) return undefined
  if (local) return { src, srcPort, local }
  const { localAddress, localPort: port } = socket
  if (localAddress === undefined || port === undefined) return undefined
  const words = new Int32Array(4)
  parseIpInto(localAddress, words, 0)
  return { src, srcPort, local: { words, port } }
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

/** Writes our own end of a server's connection, as the source. */
export function recordSource(table: ConnectionTable, slot: number, socket: Socket): void {
  const { localAddress, localPort } = socket
  if (localAddress === undefined || localPort === undefined) return
  const { words } = table
  const at = slot * WORDS
  parseIpInto(localAddress, words, at + Field.SRC)
  words[at + Field.PORTS] = (words[at + Field.PORTS] as number) | localPort
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
