/**
 * TLS of the test engine: the question about the ClientHello, and a handshake
 * that is negotiated but not computed. Payload is as it would be behind TLS.
 */

import { frameClientHello } from '../../codec/tls.js'
import type { RouteSpec } from '../../engine/engine.js'
import { packReason } from '../../wire/reason.js'
import {
  By,
  Code,
  Field,
  Handshake,
  HelloStatus,
  Phase,
  ProceedFlag,
  TlsFlag,
} from '../../wire/wire.js'
import { negotiate } from '../tls/client.js'
import type { TestClient } from './client.js'
import type { Parts } from './parts.js'

const NONE = new Uint8Array(0)
/** What the handshake with a server comes to. */
const SERVER_VERSION = 0x0304
const SERVER_CIPHER = 0x1301

export class TlsHandshakes {
  readonly #engine: Parts
  readonly #done: (client: TestClient) => void

  /** `done`: a client's handshake is complete. */
  constructor(engine: Parts, done: (client: TestClient) => void) {
    this.#engine = engine
    this.#done = done
  }

  /** Asks about the ClientHello, or waits for the rest of it. */
  ask(client: TestClient, ask: (bytes: Uint8Array, status: number) => void): void {
    const { input } = client
    const { status, message } = frameClientHello(input)
    if (status === undefined) {
      if (client.eof) this.fail(client, Code.ABORTED, 0)
      else this.#arm(client, () => ask(NONE, HelloStatus.NOT_TLS))
      return
    }
    // A view that is valid during the call only: whoever kept it sees that.
    const view = (status === HelloStatus.COMPLETE ? message : input).slice()
    client.disarm()
    try {
      ask(view, status)
    } finally {
      view.fill(0xee)
    }
  }

  /** Policy wants the handshake with this context. Precondition: it is one of a server. */
  chosen(client: TestClient, context: number, flags: number): void {
    client.context = context
    client.tellsWaiting = (flags & ProceedFlag.TELL_WAITING) !== 0
  }

  /** Does the handshake, once it is its turn. */
  begin(client: TestClient): void {
    const engine = this.#engine
    this.#arm(client)
    const outcome = engine.onHandshake(client, client.context)
    if (outcome === 'pending') return
    // In its own turn, as with a real handshake.
    engine.run(() => {
      if (outcome === 'ok') this.complete(client)
      else this.fail(client, outcome.code, outcome.errno ?? 0)
    })
  }

  /** The engine has done its part. */
  waits(client: TestClient): void {
    if (client.ended || client.secured || !client.tellsWaiting) return
    client.tellsWaiting = false
    this.#engine.tell(client, 'handshakeWaits', {})
  }

  complete(client: TestClient): void {
    const engine = this.#engine
    const context = engine.contexts.get(client.context)
    if (client.ended || client.secured || context?.side !== 'server') return
    const { message } = frameClientHello(client.input)
    const { tls } = client
    const result = negotiate(context.spec, message, tls)
    if ('code' in result) {
      this.fail(client, result.code, 0)
      return
    }
    const { version, cipher, alpn } = result
    const shown = tls !== undefined && context.spec.clientCert !== 'none' ? tls.certificate : NONE
    const flags = (tls?.resumed ? TlsFlag.RESUMED : 0) | (shown.length > 0 ? TlsFlag.VERIFIED : 0)
    client.disarm()
    client.secured = true
    client.consume(helloLength(client.input))
    const bit = Handshake.TLS
    engine.tell(client, 'secured', { bit, version, cipher, flags, alpn, bytes: shown })
    this.#done(client)
  }

  fail(client: TestClient, code: number, errno: number): void {
    if (client.ended || client.secured) return
    this.#engine.end(client, packReason(By.CLIENT, Phase.TLS, code), errno)
  }

  /** TLS with the server is complete, where the route has any. */
  securedOut(client: TestClient, route: RouteSpec | undefined): void {
    if (route?.tls === undefined) return
    const context = this.#engine.contexts.get(route.tls.context)
    const flags = context?.side === 'client' && context.spec.verify ? TlsFlag.VERIFIED : 0
    const alpn = context?.spec.alpn[0] ?? ''
    this.#engine.tell(client, 'secured', {
      bit: Handshake.TLS_OUT,
      version: SERVER_VERSION,
      cipher: SERVER_CIPHER,
      flags,
      alpn,
      bytes: NONE,
    })
  }

  /** A client that stops in its handshake is given up. `silent`: it never began, and may have another. */
  #arm(client: TestClient, silent?: () => void): void {
    const engine = this.#engine
    const { handshakeTimeout } = client.spec
    if (handshakeTimeout === 0) return
    const left = engine.table.get(client.slot, Field.OPENED_AT) + handshakeTimeout - engine.now()
    const reason = packReason(By.TIMEOUT, Phase.TLS, Code.HANDSHAKE_TIMEOUT)
    client.arm(Math.max(1, left), () => {
      if (silent && client.spec.silenceAsks && client.input.length === 0) silent()
      else engine.end(client, reason, 0)
    })
  }
}

/** Bytes of the records that hold the ClientHello. Precondition: they are there. */
function helloLength(input: Uint8Array): number {
  for (let at = 0, message = 0, needed = 0; at + 5 <= input.length; ) {
    const length = ((input[at + 3] as number) << 8) | (input[at + 4] as number)
    if (at === 0) needed = 4 + lengthAt(input, 6)
    at += 5 + length
    message += length
    if (message >= needed) return at
  }
  return input.length
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
  )
}
