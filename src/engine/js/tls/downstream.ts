/** The TLS handshake of a client, from policy's choice of a context to its end. */

import type { TLSSocket } from 'node:tls'
import { By, ConnFlag, Handshake, ProceedFlag } from '../../../wire/wire.js'
import { type Failure, streamFailure } from '../reason.js'
import type { Shared } from '../shared.js'
import type { Side } from '../side.js'
import type { DownstreamContext } from './contexts.js'
import { peerCertificate, summarize, type TlsHandshakeOwner } from './layer.js'

/** Told once what the handshake comes to. */
export interface DownstreamOwner {
  /** Complete; policy has not heard of it yet. `tell`: tells it. */
  tlsDone(tell: () => void): void
  /** `alert`: TLS has something to say about it. `failure`: undefined for the client's FIN. */
  tlsEnded(failure: Failure | undefined, alert: boolean): void
}

export class DownstreamHandshake implements TlsHandshakeOwner {
  readonly #shared: Shared
  readonly #side: Side
  readonly #owner: DownstreamOwner
  readonly #context: DownstreamContext
  #tellsWaiting: boolean

  /** `flags`: ProceedFlag. */
  constructor(
    shared: Shared,
    side: Side,
    owner: DownstreamOwner,
    context: DownstreamContext,
    flags: number,
  ) {
    this.#shared = shared
    this.#side = side
    this.#owner = owner
    this.#context = context
    this.#tellsWaiting = (flags & ProceedFlag.TELL_WAITING) !== 0
  }

  /** `early`: records that came already. */
  start(early: Buffer): void {
    this.#side.flags(ConnFlag.DATA_OPEN_STARTED, 0)
    this.#side.startTls((wire) => this.#context.accept(wire), early, this)
  }

  tlsWaits(): void {
    if (!this.#tellsWaiting) return
    this.#tellsWaiting = false
    const { slot, generation } = this.#side
    this.#shared.dispatch.tell('handshakeWaits', this.#shared.dispatch.about(slot, generation))
  }

  tlsSecured(tls: TLSSocket): void {
    const certificate = peerCertificate(tls)
    const shown = this.#context.spec.clientCert !== 'none' && certificate.length > 0
    const refused = shown ? this.#context.refusal(tls) : 0
    if (refused) {
      // Node has no alert for it: the client sees a close_notify behind its handshake.
      this.#side.fail(ConnFlag.DATA_FAILED)
      this.#owner.tlsEnded({ by: By.CLIENT, code: refused, errno: 0 }, false)
      return
    }
    this.#side.flags(ConnFlag.DATA_CONNECTED, ConnFlag.DATA_OPEN_PENDING)
    this.#owner.tlsDone(() => this.#tell(tls, certificate, shown))
  }

  tlsFailed(error: NodeJS.ErrnoException | undefined): void {
    this.#owner.tlsEnded(error && streamFailure(error, By.CLIENT), error !== undefined)
  }

  #tell(tls: TLSSocket, certificate: Uint8Array, shown: boolean): void {
    const { slot, generation } = this.#side
    const event = this.#shared.dispatch.about(slot, generation)
    event.bit = Handshake.TLS
    summarize(tls, certificate, shown, event)
    this.#shared.dispatch.tell('secured', event)
  }
}
