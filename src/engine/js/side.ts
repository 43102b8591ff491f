/**
 * One connection of the table: a socket, its record, and who handles it now.
 *
 * With TLS the payload is that of a TLSSocket, while the end of the connection,
 * its errors and its resets stay those of the raw socket below it.
 */

import type { Socket } from 'node:net'
import { constants } from 'node:os'
import type { TLSSocket } from 'node:tls'
import type { ConnectionTable } from '../../wire/table.js'
import { CloseOp, ConnFlag } from '../../wire/wire.js'
import { ConnectionRecord } from './record.js'
import { timer } from './timer.js'
import { type MakeTls, type TlsHandshakeOwner, TlsLayer, type TlsLayerEvents } from './tls/layer.js'
import { tlsError } from './tls/names.js'

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

/** Longest wait for the FIN behind a close_notify, or for an alert to leave, in ms. */
const TLS_LINGER = 2000
const NO_BYTES = Buffer.alloc(0)

export class Side extends ConnectionRecord {
  /** The payload's socket: the raw one, or TLS over it. */
  socket: Socket
  readonly raw: Socket
  handler: SideHandler
  /** Other side of a session that forwards. */
  peer: Side | undefined
  /** The other end sent its FIN. */
  eof = false
  /** We sent, or are about to send, our FIN. Everything has left once `finished`. */
  shut = false
  /** False while reading is held back. */
  reading = true
  closed = false
  error: NodeJS.ErrnoException | undefined
  /** Clock of the last read or of progress in writing, for inactivity time-outs. */
  activity = 0
  #tls: TlsLayer | undefined
  /** TLS failed before it began: what comes is nobody's payload, and nothing is sent. */
  #discarding = false
  /** TLS failed behind its handshake: what came is not to be trusted. */
  #broken = false
  /** We closed it: nobody waits for what came or was written. */
  #dropped = false

  constructor(table: ConnectionTable, slot: number, socket: Socket, handler: SideHandler) {
    super(table, slot)
    this.socket = socket
    this.raw = socket
    this.handler = handler
    socket.on('data', (chunk: Buffer) => {
      if (this.#tls) this.#tls.receive(chunk)
      else if (!this.#discarding) this.#received(chunk)
    })
    socket.on('end', () => {
      if (!this.shut && hasLostPeer(socket)) socket.destroy(resetError())
      else if (this.#tls) {
        if (this.eof) this.socketEnded()
        this.#tls.receiveEnd()
      } else this.#ended()
    })
    socket.on('finish', () => {
      this.dataFinished()
      this.socketFinished()
    })
    socket.on('drain', () => {
      if (!this.#tls) this.handler.drain(this)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#isOver(error)) return
      this.error ??= error
      // What an end of ours brings about is no failure.
      if (!this.#dropped) this.fail(ConnFlag.CTRL_FAILED)
    })
    socket.on('close', () => this.#rawClosed())
  }

  /** The payload goes through TLS. */
  get secured(): boolean {
    return this.socket !== this.raw
  }

  /** The peer's FIN came without a close_notify: payload may be missing. */
  get truncated(): boolean {
    return this.#tls?.truncated ?? false
  }

  /**
   * Starts TLS. `early`: records that were read before; they do not count as payload.
   * Payload is handed to the handler once `owner` has returned from `tlsSecured`.
   */
  startTls(make: MakeTls, early: Buffer, owner: TlsHandshakeOwner): void {
    this.countIn(-early.length)
    this.resume()
    // `gone` is on its way and says why: a reset behind unread bytes looks like an end to TLS.
    if (this.raw.destroyed) {
      this.#discarding = true
      return
    }
    try {
      this.#tls = new TlsLayer(this.raw, make, early, this.#tlsEvents(owner))
    } catch (error) {
      this.#discarding = true
      owner.tlsFailed(tlsError('TLS cannot be started.', error))
      return
    }
    if (this.raw.readableEnded) this.#tls.receiveEnd()
  }

  #tlsEvents(owner: TlsHandshakeOwner): TlsLayerEvents {
    return {
      tlsWaits: () => owner.tlsWaits(),
      tlsSecured: (tls) => {
        this.#listen(tls)
        owner.tlsSecured(tls)
      },
      tlsFailed: (error) => {
        this.abandonTls()
        owner.tlsFailed(error)
      },
      tlsBroken: (error) => {
        this.#broken = true
        this.error ??= error
        this.fail(ConnFlag.DATA_FAILED)
        // The alert that OpenSSL wrote leaves before the close.
        if (this.raw.destroyed) this.#tls?.tls.destroy()
        else this.raw.destroySoon()
        timer(TLS_LINGER, () => this.raw.destroy())
      },
    }
  }

  /** Ends a handshake that is not complete: what is left is a raw socket to be closed. */
  abandonTls(): void {
    const layer = this.#tls
    if (!layer || this.socket !== this.raw) return
    this.#tls = undefined
    this.#discarding = true
    layer.destroy()
    this.raw.resume()
  }

  /** Writes a chunk; it is not copied. Returns the bytes that wait: 0 where the kernel has all. */
  write(chunk: Uint8Array, sent?: (error?: Error | null) => void): number {
    // Nothing goes in clear where TLS was to be.
    if (this.#discarding) return 0
    this.countOut(chunk.length)
    this.socket.write(chunk, sent)
    // The answer of write() says false for any chunk above Node's own mark, even when the kernel
    // has taken all of it by then: the length tells the truth and spares a pause for each chunk.
    const waiting = this.socket.writableLength
    // TLS takes a chunk in a later turn at the earliest: only those before it have to wait.
    return this.socket === this.raw ? waiting : Math.max(0, waiting - chunk.length)
  }

  /** Bytes that are written and not with the kernel yet. */
  get waiting(): number {
    const { socket, raw } = this
    return socket === raw ? raw.writableLength : socket.writableLength + raw.writableLength
  }

  /** Our FIN is with the kernel. */
  get finished(): boolean {
    return this.raw.writableFinished
  }

  /**
   * Sends the FIN behind what was written. `complete`: payload may not be missing. Where it may,
   * a TLS peer gets no close_notify, which would vouch for it.
   */
  shutdown(complete = true): void {
    if (this.shut || this.closed) return
    this.shut = true
    this.closeOps(CloseOp.DSHW | CloseOp.CSHW)
    const tls = this.#tls
    if (complete || !tls || this.socket === this.raw) {
      this.socket.end()
      return
    }
    this.#whenTaken(() => {
      tls.mute()
      this.raw.end()
    })
  }

  /** Calls `fn` once everything that was written is with the kernel, also a FIN; not where it ends before. */
  whenFlushed(fn: () => void): void {
    if (!this.shut) this.#whenTaken(fn)
    else if (this.finished) fn()
    else this.raw.once('finish', fn)
  }

  #whenTaken(fn: () => void): void {
    if (this.waiting === 0) {
      fn()
      return
    }
    // Node tells 'drain' only above its own mark; a write is told in its order, also one of nothing.
    const last = this.socket.writableLength > 0 ? this.socket : this.raw
    last.write(NO_BYTES, (error) => {
      if (!error && !this.closed) fn()
    })
  }

  pause(): void {
    if (!this.reading) return
    this.reading = false
    this.socket.pause()
  }

  /** As `pause`, because the other side of its session takes no more. */
  holdBack(): void {
    this.flags(ConnFlag.HELD_BACK, 0)
    this.pause()
  }

  resume(): void {
    if (this.reading) return
    this.reading = true
    this.flags(0, ConnFlag.HELD_BACK)
    this.socket.resume()
  }

  /** Closes the descriptor; what was not sent yet is dropped. */
  destroy(): void {
    this.#abandon()
    this.raw.destroy()
    this.#tls?.tls.destroy()
  }

  /** Closes with RST where the socket can, which unix sockets cannot. */
  reset(): void {
    this.#abandon()
    const socket = this.raw
    if (socket.remoteFamily === undefined) {
      socket.destroy()
    } else if (socket.writableEnded && !socket.writableFinished && socket.writableLength === 0) {
      // While a shutdown is under way libuv refuses (EINVAL), and Node then never closes it.
      socket.once('finish', () => {
        if (!socket.destroyed) socket.resetAndDestroy()
      })
    } else {
      socket.resetAndDestroy()
    }
  }

  #received(chunk: Buffer): void {
    this.countIn(chunk.length)
    this.handler.data(this, chunk)
  }

  #ended(): void {
    this.eof = true
    this.payloadEnded()
    if (this.raw.readableEnded) this.socketEnded()
    this.handler.end(this)
  }

  /** The payload is that of `tls` from here on. */
  #listen(tls: TLSSocket): void {
    this.socket = tls
    tls.on('data', (chunk: Buffer) => this.#received(chunk))
    tls.on('end', () => {
      if (!this.error) this.#ended()
    })
    tls.on('drain', () => this.handler.drain(this))
    tls.on('finish', () => this.dataFinished())
    tls.on('close', () => {
      if (this.raw.destroyed) return
      // Both ways are shut; the raw socket closes with the peer's FIN.
      this.raw.resume()
      timer(TLS_LINGER, () => this.raw.destroy())
    })
  }

  #rawClosed(): void {
    const tls = this.socket === this.raw ? undefined : (this.socket as TLSSocket)
    if (tls && !this.#dropped && !this.#broken && !tls.readableEnded && !tls.destroyed) {
      // Everything came, and somebody has still to read it.
      if (this.error) {
        tls.once('end', () => tls.destroy())
        this.#tls?.receiveEnd()
      }
      tls.once('close', () => this.#closed())
      return
    }
    this.#tls?.destroy()
    this.#closed()
  }

  /**
   * The peer ended TLS and closed, and all that it will not read is our own close_notify, which
   * unix sockets refuse at once: nothing of the session is lost.
   */
  #isOver({ code }: NodeJS.ErrnoException): boolean {
    if (code !== 'EPIPE' || !this.secured || !this.eof || this.truncated) return false
    return this.shut && this.socket.writableLength === 0
  }

  /** Bytes that are dropped unsent do not count as sent. */
  #abandon(): void {
    this.#dropped = true
    this.abandoned()
    if (this.closed || this.socket.destroyed) return
    this.countOut(-this.socket.writableLength)
  }

  #closed(): void {
    this.closed = true
    this.socketClosed()
    this.handler.gone(this)
  }
}

/** What of a socket's handle is not in Node's types. */
interface Handle {
  getpeername?(out: object): number
}

/**
 * True where the peer has reset. libuv takes a RST that stands right behind unread bytes for a
 * FIN; but the kernel forgets the peer with a RST, and of the FIN it still knows who sent it.
 * Precondition: we have sent no FIN; behind both the kernel has forgotten as well.
 */
function hasLostPeer(socket: Socket): boolean {
  const { _handle: handle } = socket as unknown as { _handle?: Handle | null }
  // Unix sockets have no such call.
  return (handle?.getpeername?.({}) ?? 0) !== 0
}

function resetError(): NodeJS.ErrnoException {
  const errno = -constants.errno.ECONNRESET
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', errno, syscall: 'read' })
}
