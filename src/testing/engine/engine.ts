/**
 * An engine without a network, for tests of policy: deterministic, driven by
 * hand, with a record of every call. Clients and servers are told what to do
 * (`accept`, `TestClient`), and what policy answers can be looked at.
 *
 * Events are delivered inside the call that causes them; commands take effect
 * after the event that is being handled, as with the real engines.
 */

import { parseIpInto } from '../../address/parse.js'
import type { Clock } from '../../base/clock.js'
import { SluiceError } from '../../base/errors.js'
import type { Engine, EngineEvents, EngineStats, EventName } from '../../engine/engine.js'
import { EngineEvent } from '../../engine/event.js'
import { OwnTimeouts } from '../../engine/model.js'
import { packReason } from '../../wire/reason.js'
import { ConnectionTable } from '../../wire/table.js'
import {
  By,
  BytesFlag,
  CloseMode,
  Code,
  ConnState,
  Family,
  Field,
  Handshake,
  Layout,
} from '../../wire/wire.js'
import { type AcceptOptions, type ClientHost, concat, TestClient } from './client.js'
import { Handshakes } from './handshakes.js'
import type { ConnectOutcome, HandshakeOutcome, Parts } from './parts.js'
import { Registry } from './registry.js'
import { Sessions } from './sessions.js'
import { TlsHandshakes } from './tls-handshake.js'

export type { AcceptOptions } from './client.js'
export { TestClient } from './client.js'

/** One call of policy on the engine. */
export interface EngineCall {
  readonly name: string
  readonly conn: number
  readonly args: readonly unknown[]
}

const isAnswerable = ({ mode, asking }: TestClient) =>
  (mode === 'handshake' && asking !== 0) || mode === 'inspect' || mode === 'session'
const isApplet = ({ mode }: TestClient) => mode === 'applet'
const isOpen = ({ mode }: TestClient) => mode !== 'closing'

export class TestEngine extends Registry implements Engine, ClientHost, Parts {
  readonly kind = 'js'
  readonly takesOddServerNames = true
  readonly workers = 1
  readonly table: ConnectionTable
  /** Every call, in order. */
  readonly calls: EngineCall[] = []
  /** Clients that are open. */
  readonly clients = new Map<number, TestClient>()
  readonly paused = new Set<number>()
  /** Decides what becomes of connects. Default: they succeed. */
  onConnect: (client: TestClient, route: number) => ConnectOutcome = () => 'ok'
  /** Decides what becomes of TLS handshakes. Default: what client and context have in common. */
  onHandshake: (client: TestClient, context: number) => HandshakeOutcome = () => 'ok'
  /** Everything that policy hears of a client is told inside this. */
  around: (client: TestClient, tell: () => void) => void = (_client, tell) => tell()
  /** A listener that had no room for a client may have it now. */
  onRoom: (() => void) | undefined
  stopped = false
  /** Errors that event handlers threw. */
  readonly faults: unknown[] = []
  staleHandles = 0
  lateVerdicts = 0
  readonly clock: Clock
  #events: EngineEvents | undefined
  #turns = 0
  readonly #free: number[]
  readonly #queue: (() => void)[] = []
  readonly tls = new TlsHandshakes(this, (client) => this.#handshakes.done(client, Handshake.TLS))
  readonly sessions = new Sessions(this, this.tls)
  readonly #handshakes = new Handshakes(this, this.tls, this.sessions)
  #busy = false

  constructor(clock: Clock, slots = 1024) {
    super()
    this.clock = clock
    this.table = new ConnectionTable(new Int32Array(slots * Layout.CONNECTION_WORDS))
    this.#free = Array.from({ length: slots }, (_, i) => slots - 1 - i)
    for (let slot = 0; slot < slots; slot++) this.table.set(slot, Field.GENERATION, 1)
  }

  get events(): EngineEvents {
    if (this.#events === undefined) throw new SluiceError('ERR_SLUICE_STATE', 'not started')
    return this.#events
  }

  start(events: EngineEvents): void {
    this.#events = events
  }

  pause(listener: number, paused: boolean): void {
    if (paused) this.paused.add(listener)
    else this.paused.delete(listener)
    if (!paused) this.#roomMade()
  }

  /** Whether a client could be accepted now: the listener is not paused, and no limit is reached. */
  hasRoom(listener: number): boolean {
    const spec = this.listeners.get(listener)
    if (spec === undefined || this.paused.has(listener) || this.#free.length === 0) return false
    if (spec.maxconn <= 0) return true
    let open = 0
    for (const client of this.clients.values()) if (client.listener === listener) open++
    return open < spec.maxconn
  }

  /**
   * A client connects, whether there is room or not. Delivers what policy hears
   * of it, and what follows. `ready`: called before anything is delivered.
   */
  accept(options: AcceptOptions = {}, ready?: (client: TestClient) => void): TestClient {
    const listener = options.listener ?? [...this.listeners.keys()][0]
    const spec = listener === undefined ? undefined : this.listeners.get(listener)
    if (listener === undefined || spec === undefined) {
      throw new SluiceError('ERR_SLUICE_STATE', 'nobody listens')
    }
    const slot = this.#free.pop()
    if (slot === undefined) throw new SluiceError('ERR_SLUICE_STATE', 'the table is full')
    const generation = this.table.generation(slot)
    const words = Layout.CONNECTION_WORDS
    this.table.words.fill(0, slot * words + 1, (slot + 1) * words)
    const client = new TestClient(this, slot, generation, listener, spec, options)
    this.table.set(slot, Field.STATE, ConnState.ACCEPTED)
    this.table.set(slot, Field.LISTENER, listener)
    this.table.set(slot, Field.PEER, -1)
    this.table.set(slot, Field.OPENED_AT, Math.round(this.now()))
    this.setAddresses(slot, {
      src: options.src ?? '192.0.2.1',
      srcPort: options.srcPort ?? 50_000,
      dst: options.dst ?? '192.0.2.254',
      dstPort: options.dstPort ?? 80,
    })
    this.clients.set(slot, client)
    ready?.(client)
    this.run(() => this.#handshakes.advance(client))
    return client
  }

  proceed(
    conn: number,
    generation: number,
    clear: number,
    set: number,
    consume: number,
    context?: number,
    flags = 0,
  ): void {
    const args = context === undefined ? [clear, set, consume] : [clear, set, consume, context]
    this.#command('proceed', conn, generation, args, isAnswerable, (client) => {
      const { pending } = client
      const secures = pending.asking === Handshake.TLS && (clear & Handshake.TLS) === 0
      const unknown = secures && this.contexts.get(context ?? -1)?.side !== 'server'
      if (unknown || !pending.accepts(clear, set)) {
        this.staleHandles++
        return
      }
      if (secures) this.tls.chosen(client, context ?? -1, flags)
      pending.proceed(clear, set)
      this.#answered(client, consume)
      client.mode = 'handshake'
      if ((set & Handshake.TLS) !== 0) client.reactions.tlsStarts?.()
      this.#handshakes.advance(client)
    })
  }

  inspect(conn: number, generation: number, limit: number, delay: number, consume: number): void {
    const asked = this.clients.get(conn)
    if (asked?.generation === generation) asked.inspections++
    this.#command('inspect', conn, generation, [limit, delay, consume], isAnswerable, (client) => {
      client.inspections--
      this.#answered(client, consume)
      client.mode = 'inspect'
      client.limit = Math.max(1, limit)
      if (delay > 0) {
        client.cancelDelay = this.clock.after(delay, () =>
          this.run(() => this.#handshakes.show(client, BytesFlag.EXPIRED)),
        )
      }
      this.#handshakes.awaitBytes(client)
      if (client.input.length > 0 || client.eof) this.#handshakes.show(client, 0)
    })
  }

  replace(conn: number, generation: number, bytes: Uint8Array, consume: number): void {
    const copy = bytes.slice()
    this.#command('replace', conn, generation, [copy, consume], isAnswerable, (client) => {
      client.consume(consume)
      client.input = concat(copy, client.input)
    })
  }

  connect(
    conn: number,
    generation: number,
    route: number,
    flags: number,
    consume: number,
    tlvs?: Uint8Array,
  ): void {
    const copy = tlvs?.slice()
    const args = [route, flags, consume, copy]
    this.#command('connect', conn, generation, args, isAnswerable, (client) => {
      this.#answered(client, consume)
      client.sendTlvs = copy
      this.sessions.connectTo(client, route, flags)
    })
  }

  applet(conn: number, generation: number, credit: number, consume: number): void {
    this.#command('applet', conn, generation, [credit, consume], isAnswerable, (client) => {
      this.#answered(client, consume)
      this.sessions.startApplet(client, credit)
    })
  }

  credit(conn: number, generation: number, bytes: number): void {
    this.#command('credit', conn, generation, [bytes], isApplet, (client) => {
      client.credit += bytes
      this.sessions.feedApplet(client)
    })
  }

  send(conn: number, generation: number, bytes: Uint8Array, fin: boolean): void {
    const copy = bytes.slice()
    const allowed = (client: TestClient) => isApplet(client) || (!fin && isAnswerable(client))
    this.#command('send', conn, generation, [copy, fin], allowed, (client) => {
      if (isApplet(client)) this.sessions.send(client, copy, fin)
      else client.receive(copy)
    })
  }

  reply(conn: number, generation: number, bytes: Uint8Array, reason: number): void {
    const copy = bytes.slice()
    this.#command('reply', conn, generation, [copy, reason], isOpen, (client) => {
      client.receive(copy)
      client.finReceived = true
      this.end(client, reason, 0)
    })
  }

  close(conn: number, generation: number, reason: number, mode: number, hold: number): void {
    this.#command(
      'close',
      conn,
      generation,
      [reason, mode, hold],
      () => true,
      (client) => {
        client.disarm()
        client.inactivity?.stop()
        client.mode = 'closing'
        client.reason = reason
        if (mode === CloseMode.TARPIT && hold > 0 && !client.eof) {
          client.arm(hold, () => this.#closeNow(client))
          return
        }
        if (mode === CloseMode.RESET) client.resetReceived = true
        this.#closeNow(client)
      },
    )
  }

  setTimeout(conn: number, generation: number, which: number, ms: number): void {
    this.#command('setTimeout', conn, generation, [which, ms], isOpen, (client) => {
      client.own ??= new OwnTimeouts()
      client.own.set(which, ms)
      if (client.exchange === undefined) return
      client.exchange.own = client.own
      client.inactivity?.check()
    })
  }

  eager(_wanted: boolean): void {}

  now(): number {
    return this.clock.now()
  }

  stats(): EngineStats {
    return {
      connections: this.clients.size,
      staleHandles: this.staleHandles,
      lateVerdicts: this.lateVerdicts,
      pipesBorrowed: 0,
      buffersBorrowed: 0,
      wakes: this.#turns,
      events: this.#turns,
      ringFull: 0,
      led: 0,
    }
  }

  stop(): Promise<void> {
    this.stopped = true
    for (const client of [...this.clients.values()]) {
      this.run(() => this.end(client, packReason(By.PROXY, client.phase, Code.SHUTDOWN), 0))
    }
    this.listeners.clear()
    return Promise.resolve()
  }

  // --- for TestClient ---

  /** Bytes or a FIN of the client came. */
  arrived(client: TestClient): void {
    if (client.mode === 'applet') this.sessions.feedApplet(client)
    else if (client.mode === 'forward') client.forward()
    else this.#handshakes.arrived(client)
  }

  setAddresses(
    slot: number,
    address: { src: string; srcPort: number; dst: string; dstPort: number },
  ): void {
    const { table } = this
    const at = slot * Layout.CONNECTION_WORDS
    const family = parseIpInto(address.src, table.words, at + Field.SRC)
    parseIpInto(address.dst, table.words, at + Field.DST)
    table.set(
      slot,
      Field.FAMILY,
      family === 4 ? Family.INET : family === 6 ? Family.INET6 : Family.UNIX,
    )
    table.set(slot, Field.PORTS, address.srcPort | (address.dstPort << 16))
  }

  /** Runs `fn` after whatever is being handled; everything it causes has happened on return. */
  run(fn: () => void): void {
    this.#queue.push(fn)
    if (this.#busy) return
    this.#busy = true
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        this.#turns++
        try {
          next()
        } catch (error) {
          this.faults.push(error)
          this.#events?.fault(error)
        }
      }
    } finally {
      this.#busy = false
    }
  }

  end(client: TestClient, reason: number, errno: number): void {
    if (client.ended) return
    const { slot, generation, heard, connectTime, localPort } = client
    client.ended = true
    client.reason = reason
    client.disarm()
    client.inactivity?.stop()
    this.table.set(slot, Field.REASON, reason)
    if (heard) {
      const clock = Math.round(this.now())
      this.tell(client, 'closed', { reason, errno, clock, connectTime, localPort })
    }
    this.clients.delete(slot)
    this.table.set(slot, Field.GENERATION, generation + 1)
    this.table.set(slot, Field.STATE, ConnState.CLOSED)
    this.#free.push(slot)
    this.#roomMade()
  }

  // --- inside ---

  /** Tells an event in a record that holds nothing any more after the call: who kept it sees that. */
  tell(client: TestClient, name: EventName, fields: Partial<EngineEvent>): void {
    const { slot: conn, generation } = client
    const event = Object.assign(new EngineEvent(), fields, { conn, generation })
    this.around(client, () => {
      try {
        this.events[name](event)
      } finally {
        Object.assign(event, new EngineEvent())
      }
    })
  }

  #command(
    name: string,
    conn: number,
    generation: number,
    args: unknown[],
    allowed: (client: TestClient) => boolean,
    fn: (client: TestClient) => void,
  ): void {
    this.calls.push({ name, conn, args })
    this.run(() => {
      const client = this.clients.get(conn)
      if (client?.generation === generation && !client.ended && allowed(client)) fn(client)
      else this.staleHandles++
    })
  }

  #answered(client: TestClient, consume: number): void {
    client.pending.answered()
    client.disarm()
    client.consume(consume)
  }

  #closeNow(client: TestClient): void {
    if (!client.resetReceived) client.finReceived = true
    this.end(client, client.reason, 0)
  }

  #roomMade(): void {
    if (this.onRoom !== undefined) this.run(() => this.onRoom?.())
  }
}
