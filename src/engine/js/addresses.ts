/** Addresses of sockets. */

import type { Socket } from 'node:net'
import { parseIpInto } from '../../address/parse.js'
import type { ConnectionTable } from '../../wire/table.js'
import { Field, Layout } from '../../wire/wire.js'
import type { Ends, LocalAddress } from '../model/addresses.js'

const WORDS = Layout.CONNECTION_WORDS

/** Spares a getsockname() a connection; undefined where they may come to different addresses, or to none. */
export function specificAddress(address: string, port: number): LocalAddress | undefined {
  const words = new Int32Array(4)
  const family = parseIpInto(address, words, 0)
  if (family === 0 || words.every((word) => word === 0)) return undefined
  return { words, port }
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

/** Writes our own end of a server's connection, as the source. */
export function recordSource(table: ConnectionTable, slot: number, socket: Socket): void {
  const { localAddress, localPort } = socket
  if (localAddress === undefined || localPort === undefined) return
  const { words } = table
  const at = slot * WORDS
  parseIpInto(localAddress, words, at + Field.SRC)
  words[at + Field.PORTS] = (words[at + Field.PORTS] as number) | localPort
}
