/** Sessions of the test engine: the connect, payload to a server or an applet, time-outs. */

import { buildProxyV1, buildProxyV2 } from '../../codec/proxy.js'
import type { RouteSpec } from '../../engine/engine.js'
import { addressesOf, Exchange, Inactivity } from '../../engine/model.js'
import { packReason } from '../../wire/reason.js'
import {
  By,
  BytesFlag,
  Code,
  ConnectFlag,
  ConnState,
  Field,
  Layout,
  Phase,
  Timeout,
} from '../../wire/wire.js'
import { concat, type TestClient } from './client.js'
import type { Parts } from './parts.js'
import type { TlsHandshakes } from './tls-handshake.js'

const EMPTY = new Uint8Array(0)
/** Of connections to servers, one for each slot. */
const FIRST_LOCAL_PORT = 32_768

export class Sessions {
  readonly #engine: Parts
  readonly #tls: TlsHandshakes

  constructor(engine: Parts, tls: TlsHandshakes) {
    this.#engine = engine
    this.#tls = tls
  }

  /** Connects to a route; the handshakes are done. */
  connectTo(client: TestClient, route: number, flags: number): void {
    this.#handshakesDone(client)
    client.mode = 'connecting'
    client.routes.push(route)
    client.connectAt = this.#engine.now()
    client.connectFlags = flags
    const configured = this.#engine.routes.get(route)?.connectTimeout ?? 0
    const limit = client.timeout(Timeout.CONNECT, configured)
    client.arm(limit, () => this.connectFail(client, Code.CONNECT_TIMEOUT, 0))
    const outcome = this.#engine.onConnect(client, route)
    if (outcome === 'pending') return
    // In its own turn, as with a real connect.
    this.#engine.run(() => {
      if (client.ended || client.mode !== 'connecting') return
      if (outcome === 'ok') this.connectOk(client)
      else this.connectFail(client, outcome.code, outcome.errno ?? 0)
    })
  }

  /** What an applet sent has left. */
  resumed(client: TestClient): void {
    const { unsent } = client
    client.unsent = 0
    if (unsent === 0 || client.ended) return
    client.side.side.activity = this.#engine.now()
    this.#engine.tell(client, 'sent', { sent: unsent })
  }

  endIfBothShut(client: TestClient): void {
    const appletEnded = client.mode === 'applet' && client.eofShown && client.finReceived
    const tunnelEnded = client.mode === 'forward' && client.eof && client.finReceived
    if (appletEnded || tunnelEnded) {
      this.#engine.end(
        client,
        packReason(client.exchange?.firstFin || By.CLIENT, Phase.DATA, Code.DONE),
        0,
      )
    }
  }

  connectOk(client: TestClient): void {
    const route = this.#engine.routes.get(client.routes.at(-1) ?? -1)
    client.disarm()
    this.#established(client)
    client.mode = 'forward'
    client.connectTime = Math.round(this.#engine.now() - client.connectAt)
    const asked = (client.connectFlags & ConnectFlag.WANT_SOURCE) !== 0
    if (asked && route?.address.kind === 'tcp') client.localPort = FIRST_LOCAL_PORT + client.slot
    if (route !== undefined) {
      client.serverReceived = concat(client.serverReceived, this.#proxyHeader(client, route))
    }
    this.#watch(client, route)
    this.#tls.securedOut(client, route)
    this.#engine.run(() => client.reactions.connected?.())
    client.forward()
    if (client.connectFlags & ConnectFlag.WANT_CONNECTED) {
      this.#engine.tell(client, 'connected', { peer: -1, elapsed: client.connectTime })
    }
  }

  connectFail(client: TestClient, code: number, errno: number): void {
    const by = code === Code.CONNECT_TIMEOUT ? By.TIMEOUT : By.SERVER
    const elapsed = Math.round(this.#engine.now() - client.connectAt)
    const phase = code >= Code.NOT_TLS ? Phase.TLS_OUT : Phase.CONNECT
    const reason = packReason(by, phase, code)
    client.disarm()
    client.mode = 'session'
    if (client.pending.opened) {
      // No policy is there to try again.
      this.#engine.end(client, reason, errno)
      return
    }
    this.#engine.tell(client, 'connectFailed', { reason, errno, elapsed })
  }

  /** The payload goes to an applet. */
  startApplet(client: TestClient, credit: number): void {
    this.#established(client)
    client.mode = 'applet'
    client.credit = credit
    this.#watch(client, undefined)
    this.feedApplet(client)
  }

  /** An applet sends. */
  send(client: TestClient, bytes: Uint8Array, fin: boolean): void {
    if (client.finReceived) return
    if (bytes.length > 0) {
      client.side.side.activity = this.#engine.now()
      client.receive(bytes)
      client.unsent += bytes.length
      if (!client.stalled && client.received.length <= client.window) this.resumed(client)
    }
    if (fin) {
      client.shut(By.POLICY)
      client.finishReceiving()
      this.endIfBothShut(client)
    }
  }

  feedApplet(client: TestClient): void {
    if (client.mode !== 'applet' || client.ended) return
    while (client.input.length > 0 && client.credit > 0) {
      const length = Math.min(client.input.length, client.credit, Layout.MAX_CHUNK)
      const view = client.input.slice(0, length)
      client.consume(length)
      client.credit -= length
      try {
        this.#engine.tell(client, 'data', { bytes: view, flags: 0 })
      } finally {
        view.fill(0xee)
      }
    }
    if (client.eof && client.input.length === 0 && !client.eofShown) {
      client.eofShown = true
      this.#engine.tell(client, 'data', { bytes: EMPTY, flags: BytesFlag.EOF })
      this.endIfBothShut(client)
    }
  }

  #handshakesDone({ pending, slot }: TestClient): void {
    pending.answered()
    pending.allDone()
    this.#engine.table.set(slot, Field.HANDSHAKES, 0)
  }

  #established(client: TestClient): void {
    this.#handshakesDone(client)
    client.established = true
    this.#engine.table.set(client.slot, Field.STATE, ConnState.ESTABLISHED)
    this.#engine.table.set(
      client.slot,
      Field.ESTABLISHED_AT,
      Math.max(Math.round(this.#engine.now()), 1),
    )
  }

  /** Holds a session that flows to its inactivity time-outs. `route`: undefined for an applet. */
  #watch(client: TestClient, route: RouteSpec | undefined): void {
    const exchange = new Exchange(client.spec, route, client.own)
    if (client.eof) exchange.ends(By.CLIENT)
    client.exchange = exchange
    const sides = route === undefined ? [client.side] : [client.side, client.serverSide]
    for (const { side } of sides) side.activity = this.#engine.now()
    client.inactivity = new Inactivity(
      this.#engine.clock,
      sides,
      ({ by }) => {
        const reason = packReason(By.TIMEOUT, client.phase, exchange.timeoutCode(by))
        this.#engine.run(() => this.#engine.end(client, reason, 0))
      },
      () => exchange.tunnel,
    )
    client.inactivity.check()
  }

  /** What the server gets before the payload. */
  #proxyHeader(client: TestClient, route: RouteSpec): Uint8Array {
    const addresses = addressesOf(this.#engine.table, client.slot)
    if (route.sendProxy === 0) return EMPTY
    if (route.sendProxy === 1) return buildProxyV1(addresses)
    return buildProxyV2({ ...addresses, tlvs: client.sendTlvs, crc32c: route.proxyCrc })
  }
}
