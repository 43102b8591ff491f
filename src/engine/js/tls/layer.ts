/** TLS between a raw socket and the payload: the handshake, then a TLSSocket that stands for the socket. */

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { cipherNumber } from '../../../codec/tls.js'
import { TlsFlag } from '../../../wire/wire.js'
import type { EngineEvent } from '../../event.js'
import { versionNumber } from './names.js'
import { TlsWire } from './wire.js'

/** Makes a TLSSocket over the stream of records; it may verify the peer by itself. */
export type MakeTls = (wire: Duplex) => TLSSocket

/** What becomes of a handshake: one of these, once. Never from within the constructor. */
export interface TlsHandshakeOwner {
  /** The first records of this side are on their way: what costs CPU is done. */
  tlsWaits(): void
  /** The side sends and receives payload from here on. */
  tlsSecured(tls: TLSSocket): void
  /** The peer's FIN, or an error of TLS; the side is raw from here on, for nothing but its close. */
  tlsFailed(error: NodeJS.ErrnoException | undefined): void
}

export interface TlsLayerEvents extends TlsHandshakeOwner {
  /** TLS failed behind the handshake. */
  tlsBroken(error: NodeJS.ErrnoException): void
}

export class TlsLayer {
  readonly tls: TLSSocket
  /** The peer's FIN came without a close_notify. */
  truncated = false
  readonly #wire: TlsWire
  readonly #events: TlsLayerEvents
  #handshaking = true
  #failed = false

  /** @param early records that were read before. */
  constructor(raw: Socket, make: MakeTls, early: Buffer, events: TlsLayerEvents) {
    this.#events = events
    const wire = new TlsWire(raw, () => {
      if (this.#handshaking) events.tlsWaits()
    })
    this.#wire = wire
    // Before Node's own listener, which makes the end of the records the end of the payload.
    wire.once('end', () => this.#rawEnded())
    this.tls = make(wire)
    const failed = (error: NodeJS.ErrnoException) => this.#fail(error)
    this.tls.on('error', failed)
    // Node keeps errors of a TLSSocket that no server made to this event.
    this.tls.on('_tlsError', failed)
    this.tls.once('secure', () => {
      // OpenSSL is in the midst of its handshake here: it could not even be shut down.
      process.nextTick(() => this.#secure())
    })
    if (early.length > 0) wire.receive(early)
  }

  receive(chunk: Buffer): void {
    this.#wire.receive(chunk)
  }

  receiveEnd(): void {
    this.#wire.receiveEnd()
  }

  /** Nothing is sent any more, neither a close_notify nor an answer to one. */
  mute(): void {
    this.#wire.mute()
  }

  /** The handshake is not complete yet. */
  get handshaking(): boolean {
    return this.#handshaking
  }

  /** Nobody hears of it any more; the raw socket stays as it is. */
  destroy(): void {
    this.#handshaking = false
    this.#failed = true
    this.tls.destroy()
    this.#wire.destroy()
  }

  #secure(): void {
    if (!this.#handshaking || this.tls.destroyed) return
    this.#handshaking = false
    this.#events.tlsSecured(this.tls)
  }

  #fail(error: NodeJS.ErrnoException): void {
    // What streams say of writing behind the end is no news.
    if (this.#failed || error.code?.startsWith('ERR_STREAM_')) return
    this.#failed = true
    if (this.#handshaking) {
      this.#handshaking = false
      this.#events.tlsFailed(error)
    } else {
      this.#events.tlsBroken(error)
    }
  }

  #rawEnded(): void {
    if (this.#handshaking) {
      this.#handshaking = false
      this.#failed = true
      this.#events.tlsFailed(undefined)
      return
    }
    // A close_notify before it has ended the payload, also where nobody has read that far yet.
    const { _readableState } = this.tls as unknown as { _readableState: { ended: boolean } }
    // Who ends after our own close_notify leaves nothing open: many peers just close then.
    this.truncated = !_readableState.ended && !this.tls.writableEnded
  }
}

const NO_CERTIFICATE = new Uint8Array(0)

/** The peer's certificate in DER; empty where it sent none. */
export function peerCertificate(tls: TLSSocket): Uint8Array {
  // getPeerX509Certificate() would take the certificate out of a client's session (Node 20).
  const { raw } = tls.getPeerCertificate()
  return raw ?? NO_CERTIFICATE
}

/** Fills the record of `secured`. `verified`: `certificate` was verified, now or when the session was made. */
export function summarize(
  tls: TLSSocket,
  certificate: Uint8Array,
  verified: boolean,
  event: EngineEvent,
): void {
  const resumed = tls.isSessionReused() ? TlsFlag.RESUMED : 0
  event.version = versionNumber(tls.getProtocol())
  event.cipher = cipherNumber(tls.getCipher().standardName) ?? 0
  event.flags = resumed | (verified ? TlsFlag.VERIFIED : 0)
  event.alpn = tls.alpnProtocol || ''
  event.bytes = certificate
}
