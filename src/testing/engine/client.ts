/** A client of the test engine, and the server it was connected to. */

import type { Clock } from '../../base/clock.js'
import type { ListenSpec } from '../../engine/engine.js'
import {
  type Exchange,
  type Inactivity,
  type OwnTimeouts,
  PendingHandshakes,
  phaseOfHandshake,
  type Watched,
} from '../../engine/model.js'
import { packReason, type Reason, unpackReason } from '../../wire/reason.js'
import type { ConnectionTable } from '../../wire/table.js'
import { By, Code, Field, Phase } from '../../wire/wire.js'
import { TlsClient, type TlsClientOptions } from '../tls/client.js'

/** What a PROXY header says. */
export interface TestProxyHeader {
  src: string
  srcPort?: number
  dst?: string
  dstPort?: number
  /** Encoded TLVs. */
  tlvs?: Uint8Array
}

export interface AcceptOptions {
  /** Default: the first one. */
  listener?: number
  /** Default '192.0.2.1'; '' for a unix socket. */
  src?: string
  srcPort?: number
  dst?: string
  dstPort?: number
  /** PROXY header that the client sends first, where the engine awaits one. */
  proxy?: TestProxyHeader
  /** The client begins with a ClientHello; a `TlsClient` sends its records when it is told to. */
  tls?: TlsClientOptions | TlsClient
}

const encoder = new TextEncoder()

/** One of the two sides, under watch for inactivity. */
export interface WatchedSide extends Watched {
  /** CLIENT or SERVER. */
  readonly by: number
}

/** Mode of a client, as the engine sees it. */
export type TestMode =
  | 'handshake'
  | 'inspect'
  | 'session'
  | 'connecting'
  | 'forward'
  | 'applet'
  | 'closing'

/** What the two ends do of their own accord. Each is called in a turn of its own. */
export interface Reactions {
  /** The server's side is established. */
  connected?: () => void
  /** The server got more bytes: `serverReceived`. */
  serverBytes?: () => void
  serverFin?: () => void
  /** The client got a FIN. */
  clientFin?: () => void
  /** The proxy starts TLS on a connection that was in clear. */
  tlsStarts?: () => void
}

/** What a client asks of its engine. */
export interface ClientHost {
  readonly clock: Clock
  readonly table: ConnectionTable
  now(): number
  /** Runs `fn` after whatever is being handled. */
  run(fn: () => void): void
  end(client: TestClient, reason: number, errno: number): void
  /** Bytes or a FIN of the client came. */
  arrived(client: TestClient): void
  readonly sessions: {
    endIfBothShut(client: TestClient): void
    /** The client reads what an applet sent. */
    resumed(client: TestClient): void
    connectOk(client: TestClient): void
    connectFail(client: TestClient, code: number, errno: number): void
  }
  /** Of handshakes. */
  readonly tls: {
    complete(client: TestClient): void
    waits(client: TestClient): void
    fail(client: TestClient, code: number, errno: number): void
  }
}

export class TestClient {
  readonly slot: number
  readonly generation: number
  readonly listener: number
  readonly spec: ListenSpec
  readonly #engine: ClientHost
  reactions: Reactions = {}

  /** What the client got. */
  received = new Uint8Array(0)
  finReceived = false
  resetReceived = false
  /** What the server got, PROXY header included. */
  serverReceived = new Uint8Array(0)
  serverFinReceived = false
  /** Routes that were connected to, in order. */
  readonly routes: number[] = []
  ended = false
  /** Reason word of the end; while it is closing, the one decided. */
  reason = 0
  /** The client does not read: what an applet sends stays in the engine. */
  stalled = false
  /** Bytes that the client reads from an applet before it stalls. */
  window = Number.POSITIVE_INFINITY
  /** Payload flows, or flowed. */
  established = false

  // The engine's side of it.
  mode: TestMode = 'handshake'
  readonly pending: PendingHandshakes
  heard = false
  proxy: TestProxyHeader | undefined
  readonly tls: TlsClient | undefined = undefined
  /** The TLS context that policy has chosen, -1 while there is none. */
  context = -1
  /** Policy wants to hear when the handshake waits for the client. */
  tellsWaiting = false
  /** TLS with the client is complete. */
  secured = false
  input = new Uint8Array(0)
  eof = false
  eofShown = false
  limit = 0
  /** Asked for, and not begun: what is shown until then is outdated. */
  inspections = 0
  credit = 0
  unsent = 0
  tlvs: Uint8Array = new Uint8Array(0)
  /** TLVs to add to the PROXY header for the server. */
  sendTlvs: Uint8Array | undefined = undefined
  /** ConnectFlag bits of the last connect. */
  connectFlags = 0
  connectAt = 0
  connectTime = -1
  localPort = 0
  /** Once payload may flow, to a server or an applet. */
  exchange: Exchange | undefined = undefined
  /** Policy gave it time-outs of its own. */
  own: OwnTimeouts | undefined = undefined
  readonly side: WatchedSide = {
    by: By.CLIENT,
    side: { activity: 0 },
    limit: () => this.exchange?.limit(By.CLIENT) ?? 0,
    isAwaited: () => (!this.eof && this.input.length === 0) || this.unsent > 0,
  }
  readonly serverSide: WatchedSide = {
    by: By.SERVER,
    side: { activity: 0 },
    limit: () => this.exchange?.limit(By.SERVER) ?? 0,
    isAwaited: () => !this.finReceived,
  }
  inactivity: Inactivity<WatchedSide> | undefined = undefined
  cancelDelay: (() => void) | undefined = undefined
  cancelTimer: (() => void) | undefined = undefined

  constructor(
    engine: ClientHost,
    slot: number,
    generation: number,
    listener: number,
    spec: ListenSpec,
    options: AcceptOptions,
  ) {
    this.#engine = engine
    this.slot = slot
    this.generation = generation
    this.listener = listener
    this.spec = spec
    this.pending = new PendingHandshakes(spec.handshakes, spec.ask)
    this.proxy = options.proxy
    if (options.tls instanceof TlsClient) {
      this.tls = options.tls
    } else if (options.tls !== undefined) {
      this.tls = new TlsClient(options.tls)
      this.input = new Uint8Array(this.tls.records)
    }
  }

  /** Why it ended; undefined while it is open. */
  get end(): Reason | undefined {
    return this.ended ? unpackReason(this.reason) : undefined
  }

  /** What the client got, as text. */
  get text(): string {
    return new TextDecoder().decode(this.received)
  }

  /** Doing what, for a close reason. */
  get phase(): number {
    if (this.mode === 'connecting') return Phase.CONNECT
    if (this.mode === 'forward' || this.mode === 'applet') return this.exchange?.phase ?? Phase.DATA
    return phaseOfHandshake(this.pending.first)
  }

  /** The handshake bit that policy is asked about, or 0. */
  get asking(): number {
    return this.pending.asking
  }

  /** The client sends. */
  send(content: Uint8Array | string): void {
    const bytes = typeof content === 'string' ? encoder.encode(content) : content
    this.#engine.run(() => {
      if (this.ended || this.eof || this.mode === 'closing') return
      this.side.side.activity = this.#engine.now()
      this.#count(Field.BYTES_IN, bytes.length)
      this.input = concat(this.input, bytes)
      this.#engine.arrived(this)
    })
  }

  /** The client sends its FIN. */
  fin(): void {
    this.#engine.run(() => {
      if (this.ended || this.eof) return
      this.eof = true
      if (this.mode === 'closing') {
        // Nobody is there to be held any more.
        this.#engine.end(this, this.reason, 0)
        return
      }
      this.shut(By.CLIENT)
      this.#engine.arrived(this)
      this.#engine.sessions.endIfBothShut(this)
    })
  }

  /** The client resets the connection. */
  reset(): void {
    this.#engine.run(() => {
      if (this.ended) return
      if (this.mode === 'closing') this.#engine.end(this, this.reason, 0)
      else this.#engine.end(this, packReason(By.CLIENT, this.phase, Code.RESET), 104)
    })
  }

  /** The TLS handshake that is pending succeeds, as far as there is something in common. */
  handshakeOk(): void {
    this.#engine.run(() => this.#engine.tls.complete(this))
  }

  /** The TLS handshake that is pending has come to where it waits for the client. */
  handshakeWaits(): void {
    this.#engine.run(() => this.#engine.tls.waits(this))
  }

  /** The TLS handshake that is pending fails for a reason of the client's. */
  handshakeFail(code: number, errno = 0): void {
    this.#engine.run(() => this.#engine.tls.fail(this, code, errno))
  }

  /** The connect that is pending succeeds. */
  connectOk(): void {
    this.#engine.run(() => {
      if (!this.ended && this.mode === 'connecting') this.#engine.sessions.connectOk(this)
    })
  }

  /** The connect that is pending fails. */
  connectFail(code: number, errno = 0): void {
    this.#engine.run(() => {
      if (!this.ended && this.mode === 'connecting')
        this.#engine.sessions.connectFail(this, code, errno)
    })
  }

  /** The server sends. */
  serverSend(content: Uint8Array | string): void {
    const bytes = typeof content === 'string' ? encoder.encode(content) : content
    this.#engine.run(() => {
      if (this.ended || this.finReceived) return
      this.serverSide.side.activity = this.#engine.now()
      this.receive(bytes)
      this.#speaks(By.SERVER)
    })
  }

  /** The server sends its FIN. */
  serverFin(): void {
    this.#engine.run(() => {
      if (this.ended || this.finReceived) return
      this.shut(By.SERVER)
      this.finishReceiving()
      this.#engine.sessions.endIfBothShut(this)
    })
  }

  /** The server resets, or the engine ends the session for another reason. */
  endWith(by: number, phase: number, code: number): void {
    this.#engine.run(() => this.#engine.end(this, packReason(by, phase, code), 0))
  }

  /** The server resets an established session. */
  serverReset(): void {
    this.#engine.run(() => {
      if (this.ended || this.mode !== 'forward') return
      this.#engine.end(this, packReason(By.SERVER, this.phase, Code.RESET), 104)
    })
  }

  /** The client reads again, as much as there is. */
  resume(): void {
    this.stalled = false
    this.window = Number.POSITIVE_INFINITY
    this.#engine.run(() => this.#engine.sessions.resumed(this))
  }

  // --- for the engine ---

  receive(bytes: Uint8Array): void {
    this.received = concat(this.received, bytes)
    this.#count(Field.BYTES_OUT, bytes.length)
  }

  /** The client gets a FIN. */
  finishReceiving(): void {
    if (this.finReceived) return
    this.finReceived = true
    this.#engine.run(() => this.reactions.clientFin?.())
  }

  /** A side sent its FIN. */
  shut(by: number): void {
    this.exchange?.ends(by)
    const { side } = by === By.SERVER ? this.serverSide : this.side
    side.activity = this.#engine.now()
    this.inactivity?.check()
  }

  consume(length: number): void {
    if (length > 0) this.input = this.input.slice(length)
  }

  forward(): void {
    const { length } = this.input
    this.serverReceived = concat(this.serverReceived, this.input)
    this.input = new Uint8Array(0)
    if (length > 0) {
      this.#speaks(By.CLIENT)
      this.#engine.run(() => this.reactions.serverBytes?.())
    }
    if (!this.eof || this.serverFinReceived) return
    this.serverFinReceived = true
    this.#engine.run(() => this.reactions.serverFin?.())
  }

  /** Arms the one deadline of handshakes and connects; 0 ms only disarms it. */
  arm(ms: number, fn: () => void): void {
    this.cancelTimer?.()
    this.cancelTimer = undefined
    if (ms > 0) this.cancelTimer = this.#engine.clock.after(ms, () => this.#engine.run(fn))
  }

  disarm(): void {
    this.arm(0, () => {})
    this.cancelDelay?.()
    this.cancelDelay = undefined
  }

  /** A time-out in ms: its own, or what is configured. */
  timeout(which: number, configured: number): number {
    return this.own?.pick(which, configured) ?? configured
  }

  #speaks(by: number): void {
    const { exchange } = this
    if (exchange === undefined || exchange.mutual) return
    exchange.speaks(by)
    // Its time-out may be a shorter one.
    if (exchange.tunnel) this.inactivity?.check()
  }

  #count(field: number, bytes: number): void {
    const { table } = this.#engine
    table.set(this.slot, field, table.get(this.slot, field) + bytes)
  }
}

export function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}
