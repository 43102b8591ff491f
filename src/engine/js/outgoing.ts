/** The way out: connect, then SOCKS, the PROXY header, TLS (in the order of the handshake bits). */

import { type NetConnectOpts, connect as netConnect, type Socket } from 'node:net'
import { constants, networkInterfaces } from 'node:os'
import type { TLSSocket } from 'node:tls'
import { scopeOf } from '../../address/text.js'
import { buildProxyV1, buildProxyV2 } from '../../codec/proxy.js'
import { checkSocksRequest, SocksClient } from '../../codec/socks.js'
import { packReason } from '../../wire/reason.js'
import { By, Code, ConnFlag, ConnState, Field, Handshake, Phase } from '../../wire/wire.js'
import type { RouteSpec } from '../engine.js'
import { addressesOf, recordDestination } from '../model/addresses.js'
import { Closing } from './close.js'
import { keepAlive, unixPath } from './options.js'
import { connectFailure, streamFailure } from './reason.js'
import type { Shared } from './shared.js'
import { Side, type SideHandler } from './side.js'
import { timer } from './timer.js'
import type { UpstreamContext } from './tls/contexts.js'
import { summarize, type TlsHandshakeOwner } from './tls/layer.js'

const NO_BYTES = Buffer.alloc(0)
/** Between two tries to reach a unix socket that is full, in ms. */
const FIRST_PAUSE = 5
const LONGEST_PAUSE = 40

/** Flags of a connection that begins. */
const FRESH = ConnFlag.FD_ALLOCATED | ConnFlag.CTRL_INIT | ConnFlag.DATA_INIT

/** Told by an outgoing connection exactly once: established, or failed. Never during `start`. */
export interface OutgoingOwner {
  /** `early`: payload that came behind the last handshake. */
  outgoingEstablished(outgoing: Outgoing, early: Buffer | undefined): void
  /** The descriptor is closed. */
  outgoingFailed(outgoing: Outgoing, reason: number, errno: number): void
}

/** The server's FIN before it should have come. */
const ABORTED = { by: By.SERVER, code: Code.ABORTED, errno: 0 }

/** How a server's connection ends that nobody needs any more. */
export const Abort = {
  CLOSE: 0,
  RESET: 1,
  /** What it was sent is with the kernel before the RST. */
  CUT: 2,
} as const
export type Abort = (typeof Abort)[keyof typeof Abort]

export class Outgoing implements SideHandler, TlsHandshakeOwner {
  readonly route: RouteSpec
  side: Side | undefined
  /** ms from the connect command to the end of the outgoing handshakes, or to the failure. */
  elapsed = 0
  readonly #shared: Shared
  readonly #owner: OutgoingOwner
  /** Slot of the client, whose addresses the PROXY header carries. */
  readonly #client: number
  readonly #tlvs: Uint8Array | undefined
  /** From the command to the end of the handshakes, ms. */
  readonly #timeout: number
  readonly #startedAt: number
  #phase: number = Phase.CONNECT
  #timer: NodeJS.Timeout | undefined
  /** Of the next try to reach a unix socket that is full, and the pause before it in ms. */
  #again: NodeJS.Timeout | undefined
  #pause = FIRST_PAUSE / 2
  #socks: SocksClient | undefined
  #failure: { reason: number; errno: number } | undefined
  #aborted = false
  #context: UpstreamContext | undefined

  constructor(
    shared: Shared,
    owner: OutgoingOwner,
    client: number,
    route: RouteSpec,
    timeout: number,
    tlvs: Uint8Array | undefined,
  ) {
    this.#shared = shared
    this.#owner = owner
    this.#client = client
    this.route = route
    this.#timeout = timeout
    this.#tlvs = tlvs
    this.#startedAt = shared.now()
  }

  /** Phase of the outgoing handshakes that runs now. */
  get phase(): number {
    return this.#phase
  }

  start(): void {
    const { slots } = this.#shared
    const slot = slots.allocate()
    if (slot < 0) {
      queueMicrotask(() => this.#failWithoutSocket(By.PROXY, Code.TABLE_FULL, 0))
      return
    }
    let socket: ReturnType<typeof netConnect>
    try {
      socket = netConnect(connectOptions(this.route))
    } catch (error) {
      slots.release(slot)
      const { by, code, errno } = connectFailure(error as NodeJS.ErrnoException)
      queueMicrotask(() => this.#failWithoutSocket(by, code, errno))
      return
    }
    const { table } = slots
    this.#opened(slot, socket)
    table.set(slot, Field.OPENED_AT, this.#startedAt)
    table.set(slot, Field.PEER, this.#client)
    const { address } = this.route
    if (address.kind === 'unix') recordDestination(table, slot, '', 0)
    else recordDestination(table, slot, address.ip, address.port)
    table.set(slot, Field.HANDSHAKES, this.#wantedHandshakes())
    this.#timer = timer(this.#timeout, () => this.#fail(By.TIMEOUT, Code.CONNECT_TIMEOUT, 0))
  }

  #opened(slot: number, socket: Socket): void {
    const side = new Side(this.#shared.slots.table, slot, socket, this)
    this.side = side
    side.state(ConnState.CONNECTING)
    side.flags(FRESH | this.#wantedSteps(), 0)
    socket.once('connect', () => this.#connected(side))
  }

  /**
   * The accept queue of a unix socket is full, and nobody tells when there is room: it is tried
   * again until the connect time-out.
   */
  #tryAgain(slot: number): void {
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE)
    this.#again = timer(this.#pause, () => {
      this.#again = undefined
      const { table } = this.#shared.slots
      // It begins anew, in the same record.
      for (const field of [Field.STATE, Field.FLAGS, Field.CLOSE_OPS]) table.set(slot, field, 0)
      this.#opened(slot, netConnect(connectOptions(this.route)))
    })
  }

  /** Ends without telling the owner; `done` is called with the end of the socket, if there is one. */
  abort(how: Abort, done: () => void): void {
    this.#aborted = true
    clearTimeout(this.#timer)
    clearTimeout(this.#again)
    const { side } = this
    if (!side || side.closed) return
    const closing = new Closing(this.#shared, side, done)
    const { serverFinTimeout, serverTimeout } = this.route
    if (how === Abort.CUT) closing.cut(serverFinTimeout || serverTimeout)
    else if (how === Abort.RESET) side.reset()
    else side.destroy()
  }

  get closed(): boolean {
    return this.side === undefined || this.side.closed
  }

  /** Gives the slot back, once nobody reads the record any more. */
  release(): void {
    if (!this.side) return
    this.#shared.slots.release(this.side.slot)
    this.side = undefined
    this.#shared.slotFreed()
  }

  data(side: Side, chunk: Buffer): void {
    const socks = this.#socks
    // Without SOCKS nothing reads before the session is established.
    if (!socks || this.#failure || this.#aborted) return
    const step = socks.push(chunk)
    if (step.send) side.write(step.send)
    if (step.status === 'error') {
      this.#fail(By.SERVER, step.code, 0)
    } else if (step.status === 'done') {
      this.#socks = undefined
      side.flags(ConnFlag.SOCKS_STARTED, ConnFlag.SOCKS_PENDING)
      this.#sendProxy(side, step.used < chunk.length ? chunk.subarray(step.used) : undefined)
    }
  }

  end(_side: Side): void {
    this.#fail(By.SERVER, Code.ABORTED, 0)
  }

  drain(_side: Side): void {}

  gone(side: Side): void {
    const { error } = side
    if (error?.code === 'EAGAIN' && this.#phase === Phase.CONNECT && !this.#failure) {
      this.#tryAgain(side.slot)
      return
    }
    if (!this.#failure) {
      if (error && this.#phase === Phase.CONNECT) {
        const { by, code, errno } = connectFailure(error)
        this.#failure = { reason: packReason(by, this.#phase, code), errno }
      } else {
        const { by, code, errno } = error ? streamFailure(error, By.SERVER) : ABORTED
        this.#failure = { reason: packReason(by, this.#phase, code), errno }
      }
    }
    this.#failed(this.#failure)
  }

  #failed({ reason, errno }: { reason: number; errno: number }): void {
    clearTimeout(this.#timer)
    this.elapsed = this.#shared.now() - this.#startedAt
    this.release()
    this.#owner.outgoingFailed(this, reason, errno)
  }

  #connected(side: Side): void {
    if (this.#failure || this.#aborted) return
    side.flags(ConnFlag.CTRL_CONNECTED, 0)
    this.#doneWith(side, Handshake.L4_CONNECT)
    if (!this.route.socks) {
      this.#sendProxy(side, undefined)
      return
    }
    this.#phase = Phase.SOCKS
    const impossible = checkSocksRequest(this.route.socks)
    if (impossible !== 0) {
      this.#fail(By.PROXY, impossible, 0)
      return
    }
    this.#socks = new SocksClient(this.route.socks)
    side.flags(ConnFlag.SOCKS_STARTED, 0)
    side.write(this.#socks.start())
  }

  #sendProxy(side: Side, early: Buffer | undefined): void {
    this.#doneWith(side, Handshake.SOCKS)
    this.#phase = Phase.SEND_PROXY
    // The header leaves in one write with the first payload.
    side.raw.cork()
    if (this.route.sendProxy !== 0) {
      const header = this.#proxyHeader()
      if (!header) {
        this.#fail(By.PROXY, Code.INTERNAL, 0)
        return
      }
      side.write(header)
      side.flags(ConnFlag.PROXY_OUT_STARTED, ConnFlag.PROXY_OUT_PENDING)
    }
    this.#doneWith(side, Handshake.SEND_PROXY)
    if (this.route.tls) this.#startTls(side, this.route.tls, early)
    else this.#established(early)
    side.raw.uncork()
  }

  #established(early: Buffer | undefined): void {
    clearTimeout(this.#timer)
    this.side?.flags(ConnFlag.DATA_CONNECTED, 0)
    this.elapsed = this.#shared.now() - this.#startedAt
    this.#owner.outgoingEstablished(this, early)
  }

  #startTls(
    side: Side,
    { context, serverName }: NonNullable<RouteSpec['tls']>,
    early: Buffer | undefined,
  ): void {
    this.#phase = Phase.TLS_OUT
    const found = this.#shared.tls.upstreamOf(context)
    if (!found) {
      this.#fail(By.PROXY, Code.INTERNAL, 0)
      return
    }
    this.#context = found
    side.flags(ConnFlag.DATA_OPEN_STARTED, 0)
    const { address } = this.route
    side.startTls((wire) => found.connect(wire, serverName, address), early ?? NO_BYTES, this)
  }

  tlsWaits(): void {}

  tlsSecured(tls: TLSSocket): void {
    const { side } = this
    if (!side || this.#failure || this.#aborted) return
    const refused = this.#context?.refusal(tls)
    if (refused) {
      side.fail(ConnFlag.DATA_FAILED)
      this.#fail(By.SERVER, refused, 0)
      return
    }
    side.flags(0, ConnFlag.DATA_OPEN_PENDING)
    this.#doneWith(side, Handshake.TLS_OUT)
    const certificate = this.#context?.certificateOf(tls) ?? NO_BYTES
    const verified = (this.#context?.spec.verify ?? false) && tls.authorized
    const { dispatch, slots } = this.#shared
    const at = this.#client
    const event = dispatch.about(at, slots.table.generation(at))
    event.bit = Handshake.TLS_OUT
    summarize(tls, certificate, verified, event)
    dispatch.tell('secured', event)
    // Policy may have closed the client just now.
    if (!this.#aborted) this.#established(undefined)
  }

  tlsFailed(error: NodeJS.ErrnoException | undefined): void {
    // Node says so of a close_notify; a RST is told by the raw socket.
    const ended = !error || error.code === 'ECONNRESET'
    if (!ended) this.side?.fail(ConnFlag.DATA_FAILED)
    const { by, code, errno } = ended ? ABORTED : streamFailure(error, By.SERVER)
    this.#fail(by, code, errno)
  }

  /** Undefined where the TLVs do not fit into a header. */
  #proxyHeader(): Buffer | undefined {
    const addresses = addressesOf(this.#shared.slots.table, this.#client)
    if (this.route.sendProxy === 1) return buildProxyV1(addresses)
    try {
      return buildProxyV2({ ...addresses, tlvs: this.#tlvs, crc32c: this.route.proxyCrc })
    } catch {
      return undefined
    }
  }

  #wantedHandshakes(): number {
    const socks = this.route.socks ? Handshake.SOCKS : 0
    const proxy = this.route.sendProxy !== 0 ? Handshake.SEND_PROXY : 0
    return Handshake.L4_CONNECT | socks | proxy | (this.route.tls ? Handshake.TLS_OUT : 0)
  }

  #wantedSteps(): number {
    const socks = this.route.socks ? ConnFlag.SOCKS_PENDING : 0
    const proxy = this.route.sendProxy !== 0 ? ConnFlag.PROXY_OUT_PENDING : 0
    return socks | proxy | (this.route.tls ? ConnFlag.DATA_OPEN_PENDING : 0)
  }

  #doneWith(side: Side, bit: number): void {
    const { table } = this.#shared.slots
    table.set(side.slot, Field.HANDSHAKES, table.get(side.slot, Field.HANDSHAKES) & ~bit)
  }

  #fail(by: number, code: number, errno: number): void {
    if (this.#failure || this.#aborted) return
    this.#failure = { reason: packReason(by, this.#phase, code), errno }
    if (this.#again === undefined) {
      this.side?.destroy()
    } else {
      clearTimeout(this.#again)
      this.#failed(this.#failure)
    }
  }

  #failWithoutSocket(by: number, code: number, errno: number): void {
    if (this.#aborted) return
    this.elapsed = this.#shared.now() - this.#startedAt
    this.#owner.outgoingFailed(this, packReason(by, Phase.CONNECT, code), errno)
  }
}

function connectOptions({ address, source, ...liveness }: RouteSpec): NetConnectOpts {
  if (address.kind === 'unix') return { path: unixPath(address.path), allowHalfOpen: true }
  const local = typeof source === 'object' ? source : undefined
  checkScope(address.ip)
  return {
    host: address.ip,
    port: address.port,
    allowHalfOpen: true,
    noDelay: true,
    ...keepAlive(liveness),
    // The address is numeric and already chosen: Node must not race families.
    autoSelectFamily: false,
    ...(local ? { localAddress: local.ip } : {}),
    ...(local?.port ? { localPort: local.port } : {}),
  }
}

/** libuv of Node 22 and newer takes a scope that is no interface for none, and dials wherever the default route leads. */
function checkScope(ip: string): void {
  const name = scopeOf(ip).slice(1)
  if (name === '' || /^\d+$/.test(name) || name in networkInterfaces()) return
  const error: NodeJS.ErrnoException = new Error(`connect: there is no interface '${name}'`)
  throw Object.assign(error, { code: 'EINVAL', errno: -constants.errno.EINVAL, syscall: 'connect' })
}
