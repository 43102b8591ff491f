/**
 * One connection of the table: a socket, its record, and who handles it now.
 * The record is written here in the layout that the native engine uses.
 */

import type { Socket } from 'node:net'
import type { ConnectionTable } from '../../connection/table.js'
import { CloseOp, ConnFlag, ConnState, Field } from '../wire.js'

/** What happens on a socket. `gone` is the last call and comes exactly once. */
export interface SideHandler {
  data(side: Side, chunk: Buffer): void
  /** The FIN of the other end; everything before it was given to `data`. */
  end(side: Side): void
  /** Everything that was written has left Node's buffers. */
  drain(side: Side): void
  /** The descriptor is closed. `side.error` says why, where it was not wanted. */
  gone(side: Side): void
}

const CLOSE_WANTED = CloseOp.DSHR | CloseOp.DSHW | CloseOp.CSHR | CloseOp.CSHW
const CLOSE_DONE = CloseOp.DSHR_DONE | CloseOp.DSHW_DONE | CloseOp.CSHR_DONE | CloseOp.CSHW_DONE
const SHUT_READ = ConnFlag.SHR | ConnFlag.CTRL_SHUTR | ConnFlag.DATA_SHUTR
const SHUT_WRITE = ConnFlag.SHW | ConnFlag.CTRL_SHUTW | ConnFlag.DATA_SHUTW
const PAYLOAD_READY =
  ConnFlag.CTRL_HANDLERS_DONE |
  ConnFlag.DATA_INIT |
  ConnFlag.DATA_CONNECTED |
  ConnFlag.DATA_HANDLERS_DONE

export class Side {
  readonly slot: number
  readonly generation: number
  readonly socket: Socket
  handler: SideHandler
  /** Other side of a session that forwards. */
  peer: Side | undefined
  /** The other end sent its FIN. */
  eof = false
  /** We sent, or are about to send, our FIN. */
  shut = false
  /** False while reading is held back. */
  reading = true
  closed = false
  error: NodeJS.ErrnoException | undefined
  /** Clock of the last read or of progress in writing, for inactivity time-outs. */
  activity = 0
  bytesIn = 0
  bytesOut = 0
  readonly #table: ConnectionTable

  constructor(table: ConnectionTable, slot: number, socket: Socket, handler: SideHandler) {
    this.#table = table
    this.slot = slot
    this.generation = table.generation(slot)
    this.socket = socket
    this.handler = handler
    socket.on('data', (chunk: Buffer) => {
      this.bytesIn += chunk.length
      this.#count(Field.BYTES_IN, this.bytesIn)
      this.handler.data(this, chunk)
    })
    socket.on('end', () => {
      this.eof = true
      this.closeOps(CloseOp.DSHR_DONE | CloseOp.CSHR_DONE)
      this.flags(SHUT_READ, ConnFlag.WANT_READ)
      this.handler.end(this)
    })
    socket.on('drain', () => this.handler.drain(this))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = error
    })
    socket.on('close', () => this.#closed())
  }

  /** Writes a chunk; it is not copied. Returns the bytes that wait: 0 where the kernel has all. */
  write(chunk: Uint8Array, sent?: (error?: Error | null) => void): number {
    this.bytesOut += chunk.length
    this.#count(Field.BYTES_OUT, this.bytesOut)
    this.socket.write(chunk, sent)
    // The answer of write() says false for any chunk above Node's own mark, even when the kernel
    // has taken all of it by then: the length tells the truth and spares a pause for each chunk.
    return this.socket.writableLength
  }

  /** Sends the FIN behind what was written. */
  shutdown(): void {
    if (this.shut || this.closed) return
    this.shut = true
    this.closeOps(CloseOp.DSHW | CloseOp.CSHW)
    this.flags(SHUT_WRITE, ConnFlag.WANT_WRITE)
    this.socket.end()
  }

  pause(): void {
    if (!this.reading) return
    this.reading = false
    this.flags(0, ConnFlag.WANT_READ)
    this.socket.pause()
  }

  resume(): void {
    if (this.reading) return
    this.reading = true
    this.flags(ConnFlag.WANT_READ, 0)
    this.socket.resume()
  }

  /** Closes the descriptor; what was not sent yet is dropped. */
  destroy(): void {
    this.#abandon()
    this.socket.destroy()
  }

  /** Closes with RST where the socket can, which unix sockets cannot. */
  reset(): void {
    this.#abandon()
    const { socket } = this
    if (socket.remoteFamily === undefined) {
      socket.destroy()
    } else if (this.shut && !socket.writableFinished && socket.writableLength === 0) {
      // While a shutdown is under way libuv refuses (EINVAL), and Node then never closes it.
      socket.once('finish', () => {
        if (!socket.destroyed) socket.resetAndDestroy()
      })
    } else {
      socket.resetAndDestroy()
    }
  }

  /** The payload flows from here on. */
  established(clock: number): void {
    this.state(ConnState.ESTABLISHED)
    this.#table.set(this.slot, Field.ESTABLISHED_AT, clock)
    this.flags(PAYLOAD_READY, 0)
  }

  state(state: number): void {
    this.#table.set(this.slot, Field.STATE, state)
  }

  flags(set: number, clear: number): void {
    const flags = this.#table.get(this.slot, Field.FLAGS)
    this.#table.set(this.slot, Field.FLAGS, (flags & ~clear) | set)
  }

  closeOps(set: number): void {
    this.#table.set(this.slot, Field.CLOSE_OPS, this.#table.get(this.slot, Field.CLOSE_OPS) | set)
  }

  #count(field: number, value: number): void {
    this.#table.set(this.slot, field, value | 0)
    if (value >= 0x1_0000_0000) {
      this.#table.set(this.slot, field + 1, Math.floor(value / 0x1_0000_0000))
    }
  }

  /** Bytes that are dropped unsent do not count as sent. */
  #abandon(): void {
    this.closeOps(CLOSE_WANTED)
    if (this.closed || this.socket.destroyed) return
    this.bytesOut -= this.socket.writableLength
    this.#count(Field.BYTES_OUT, this.bytesOut)
  }

  #closed(): void {
    this.closed = true
    this.closeOps(CLOSE_WANTED | CLOSE_DONE)
    const failed = this.error ? ConnFlag.ERR | ConnFlag.CTRL_FAILED : 0
    this.flags(
      SHUT_READ | SHUT_WRITE | failed,
      ConnFlag.WANT_READ | ConnFlag.WANT_WRITE | ConnFlag.FD_ALLOCATED,
    )
    this.state(this.error ? ConnState.ERROR : ConnState.CLOSED)
    this.handler.gone(this)
  }
}
