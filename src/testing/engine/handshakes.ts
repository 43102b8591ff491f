/**
 * The incoming handshakes of the test engine: in the order of their bits, those
 * that policy is asked about and those that the engine does alone.
 */

import { parseIp } from '../../address/parse.js'
import { buildProxyV2, parseProxyHeader } from '../../codec/proxy.js'
import { Runner, recordProxied } from '../../engine/model.js'
import { packReason } from '../../wire/reason.js'
import { By, BytesFlag, Code, Field, Handshake, Phase, Timeout } from '../../wire/wire.js'
import { concat, type TestClient, type TestProxyHeader } from './client.js'
import type { Parts } from './parts.js'
import type { Sessions } from './sessions.js'
import type { TlsHandshakes } from './tls-handshake.js'

const EMPTY = new Uint8Array(0)

export class Handshakes {
  readonly #engine: Parts
  readonly #tls: TlsHandshakes
  readonly #sessions: Sessions

  constructor(engine: Parts, tls: TlsHandshakes, sessions: Sessions) {
    this.#engine = engine
    this.#tls = tls
    this.#sessions = sessions
  }

  /** Goes on with the first pending handshake. */
  advance(client: TestClient): void {
    const engine = this.#engine
    const { pending } = client
    if (client.ended || pending.asking !== 0 || client.mode !== 'handshake') return
    engine.table.set(client.slot, Field.HANDSHAKES, pending.bits)
    switch (pending.runner) {
      case Runner.POLICY:
        this.#ask(client, pending.first)
        break
      case Runner.ENGINE:
        this.#runAlone(client, pending.first)
        break
      case Runner.FALLBACK:
        this.#sessions.connectTo(client, client.spec.fallbackRoute, 0)
        break
      case Runner.NOBODY:
        this.done(client, pending.first)
        break
      default:
        client.mode = 'session'
    }
  }

  #runAlone(client: TestClient, bit: number): void {
    const engine = this.#engine
    const { spec } = client
    if (bit === Handshake.HEALTH) {
      client.receive(spec.healthReply ?? EMPTY)
      client.finReceived = true
      engine.end(client, packReason(By.PROXY, Phase.HEALTH, Code.HEALTH), 0)
    } else if (bit === Handshake.TLS) {
      this.#tls.begin(client)
    } else {
      if (spec.handshakeTimeout > 0) {
        const openedAt = engine.table.get(client.slot, Field.OPENED_AT)
        const left = openedAt + spec.handshakeTimeout - engine.now()
        const reason = packReason(By.TIMEOUT, Phase.ACCEPT_PROXY, Code.HANDSHAKE_TIMEOUT)
        client.arm(Math.max(1, left), () => engine.end(client, reason, 0))
      }
      this.acceptProxy(client)
    }
  }

  /** A handshake is complete: goes on with the next one. */
  done(client: TestClient, bit: number): void {
    client.pending.done(bit)
    this.advance(client)
  }

  #ask(client: TestClient, bit: number): void {
    if (bit === Handshake.TLS) {
      this.#tls.ask(client, (bytes, status) => this.#tell(client, bit, bytes, status))
    } else {
      this.#tell(client, bit, client.tlvs, 0)
    }
  }

  #tell(client: TestClient, bit: number, bytes: Uint8Array, status: number): void {
    const engine = this.#engine
    client.pending.ask()
    client.heard = true
    const { listener, spec } = client
    client.arm(spec.verdictTimeout, () => this.#verdictLate(client))
    engine.tell(client, 'handshake', { listener, bit, bytes, hello: status })
  }

  #verdictLate(client: TestClient): void {
    const engine = this.#engine
    if (client.ended) return
    const { phase, spec } = client
    const bit = client.pending.first
    const opened = spec.fallbackRoute >= 0
    engine.lateVerdicts++
    // The default is taken first: what policy answers from here on is late.
    client.disarm()
    client.pending.answered()
    if (opened) {
      client.mode = 'handshake'
      client.pending.open()
    }
    engine.tell(client, 'verdictTimeout', { bit, opened })
    if (opened) this.advance(client)
    else engine.end(client, packReason(By.TIMEOUT, phase, Code.VERDICT_TIMEOUT), 0)
  }

  /** A client that is asked for bytes must not be silent for ever. */
  awaitBytes(client: TestClient): void {
    const engine = this.#engine
    client.arm(client.timeout(Timeout.CLIENT, client.spec.clientTimeout), () =>
      engine.end(client, packReason(By.TIMEOUT, client.phase, Code.CLIENT_TIMEOUT), 0),
    )
  }

  /** Goes on with the PROXY header, as far as it is there. */
  acceptProxy(client: TestClient): void {
    const engine = this.#engine
    if (client.proxy !== undefined) {
      client.input = concat(headerOf(client.proxy), client.input)
      client.proxy = undefined
    }
    const result = parseProxyHeader(client.input, client.spec.proxyLimit)
    if (result.status === 'error') {
      engine.end(client, packReason(By.CLIENT, Phase.ACCEPT_PROXY, result.code), 0)
    } else if (result.status === 'partial') {
      if (!client.eof) return
      engine.end(client, packReason(By.CLIENT, Phase.ACCEPT_PROXY, Code.ABORTED), 0)
    } else {
      const { header } = result
      recordProxied(engine.table, client.slot, header)
      client.tlvs = header.tlvs.slice()
      client.consume(header.length)
      client.disarm()
      this.done(client, Handshake.ACCEPT_PROXY)
    }
  }

  /** Bytes or a FIN came before the payload flows. */
  arrived(client: TestClient): void {
    if (client.mode === 'inspect') {
      this.awaitBytes(client)
      this.show(client, 0)
      return
    }
    if (client.mode !== 'handshake' || client.asking !== 0) return
    const bit = client.pending.first
    if (bit === Handshake.ACCEPT_PROXY) this.acceptProxy(client)
    else if (bit !== Handshake.TLS) return
    else if (client.context < 0) this.advance(client)
    else if (client.eof) this.#tls.fail(client, Code.ABORTED, 0)
  }

  show(client: TestClient, extra: number): void {
    const engine = this.#engine
    if (client.mode !== 'inspect' || client.inspections > 0 || client.ended) return
    const full = client.input.length >= client.limit
    // Of a FIN is told behind the last byte.
    const eof = client.eof && client.input.length <= client.limit
    const flags = extra | (eof ? BytesFlag.EOF : 0) | (full ? BytesFlag.FULL : 0)
    // Nothing more will come of itself: an answer is due.
    if (flags !== 0) client.arm(client.spec.verdictTimeout, () => this.#verdictLate(client))
    const view = client.input.slice(0, client.limit)
    try {
      engine.tell(client, 'bytes', { bytes: view, flags })
    } finally {
      // The view is valid during the call only: whoever kept it sees that.
      view.fill(0xee)
    }
  }
}

function headerOf({ src, srcPort = 1, dst, dstPort = 80, tlvs = EMPTY }: TestProxyHeader) {
  return buildProxyV2({
    src: parseIp(src) ?? EMPTY,
    srcPort,
    dst: parseIp(dst ?? (src.includes(':') ? '2001:db8::fe' : '203.0.113.1')) ?? EMPTY,
    dstPort,
    tlvs,
  })
}
