/** Forwarding between two connections by hand, in both directions, with back-pressure and half-close. */

import { packReason } from '../../wire/reason.js'
import { By, Code, Phase } from '../../wire/wire.js'
import type { ListenSpec, RouteSpec } from '../engine.js'
import type { Core } from './core.js'
import { Inactivity } from './inactivity.js'
import { streamFailure } from './reason.js'
import type { Side, SideHandler } from './side.js'

/** Bytes that may wait in Node for one side before reading from the other stops. */
export const HIGH_WATER = 65536

const CLIENT_SPOKE = 1
const SERVER_SPOKE = 2
const BOTH_SPOKE = CLIENT_SPOKE | SERVER_SPOKE

/**
 * Told exactly once how the forwarding ended. Sides that are still open then are the owner's.
 * `broken`: the side that ended in the midst of its payload, or may have; not of a time-out.
 */
export interface ForwardOwner {
  forwardEnded(reason: number, errno: number, broken: Side | undefined): void
}

export class Forward implements SideHandler {
  readonly #core: Core
  readonly #owner: ForwardOwner
  readonly #client: Side
  readonly #server: Side
  readonly #listen: ListenSpec
  readonly #route: RouteSpec
  readonly #inactivity: Inactivity
  /** By of the side whose FIN came first, or 0. */
  #firstFin = 0
  /** Bits of the sides that have sent payload: 1 client, 2 server. */
  #spoke = 0
  #ended = false

  constructor(
    core: Core,
    owner: ForwardOwner,
    client: Side,
    server: Side,
    listen: ListenSpec,
    route: RouteSpec,
  ) {
    this.#core = core
    this.#owner = owner
    this.#client = client
    this.#server = server
    this.#listen = listen
    this.#route = route
    this.#inactivity = new Inactivity(
      core,
      [
        { side: client, limit: () => this.#clientLimit() },
        { side: server, limit: () => this.#serverLimit() },
      ],
      (side) => this.#timedOut(side),
    )
  }

  /** Phase for a reason: closing once either side is shut. */
  get phase(): number {
    return this.#firstFin === 0 ? Phase.DATA : Phase.CLOSE
  }

  /** Starts with what the client has sent so far, and what the server sent behind its handshakes. */
  start(request: Buffer, response: Buffer | undefined): void {
    const client = this.#client
    const server = this.#server
    const now = this.#core.now()
    client.peer = server
    server.peer = client
    client.handler = this
    server.handler = this
    client.activity = now
    server.activity = now
    if (request.length > 0) server.write(request)
    if (response) client.write(response)
    this.#spoke = (request.length > 0 ? CLIENT_SPOKE : 0) | (response ? SERVER_SPOKE : 0)
    if (client.eof) this.end(client)
    if (this.#ended) return
    if (server.socket.writableLength <= HIGH_WATER) client.resume()
    else client.holdBack()
    this.#inactivity.check()
  }

  data(side: Side, chunk: Buffer): void {
    const now = this.#core.now()
    const to = side.peer as Side
    side.activity = now
    const waiting = to.write(chunk)
    // A side that takes bytes is not silent.
    if (waiting === 0) to.activity = now
    else if (waiting > HIGH_WATER) side.holdBack()
    if (this.#spoke !== BOTH_SPOKE) this.#speaks(side)
  }

  drain(side: Side): void {
    const now = this.#core.now()
    const from = side.peer as Side
    side.activity = now
    // While it was held back it could not be active: its time starts again.
    if (!from.reading) from.activity = now
    from.resume()
  }

  end(side: Side): void {
    if (this.#firstFin === 0) this.#firstFin = side === this.#client ? By.CLIENT : By.SERVER
    side.activity = this.#core.now()
    const to = side.peer as Side
    if (side.truncated && !to.secured) {
      // Only a RST says to it that payload may be missing.
      this.#end(this.#truncation(side), 0, side)
      return
    }
    to.shutdown(!side.truncated)
    // The time-outs of a half-closed connection may be shorter.
    this.#inactivity.check()
  }

  gone(side: Side): void {
    const by = side === this.#client ? By.CLIENT : By.SERVER
    if (side.error) {
      const failure = streamFailure(side.error, by)
      this.#end(packReason(failure.by, this.phase, failure.code), failure.errno, side)
    } else if ((side.peer as Side).closed) {
      this.#end(this.#cleanEnd(by), 0)
    }
  }

  /** Both sides have ended. A FIN without close_notify may have cut payload off: the first is told. */
  #cleanEnd(last: number): number {
    const first = this.#firstFin || last
    const sides = [this.#client, this.#server]
    if (first === By.SERVER) sides.reverse()
    const truncated = sides.find((side) => side.truncated)
    return truncated ? this.#truncation(truncated) : packReason(first, Phase.DATA, Code.DONE)
  }

  #truncation(side: Side): number {
    const by = side === this.#client ? By.CLIENT : By.SERVER
    const phase = by === this.#firstFin ? Phase.DATA : Phase.CLOSE
    return packReason(by, phase, Code.TLS_TRUNCATED)
  }

  /** Stops watching; the owner takes the sides over. */
  stop(): void {
    this.#ended = true
    this.#inactivity.stop()
  }

  #end(reason: number, errno: number, broken?: Side): void {
    if (this.#ended) return
    this.stop()
    this.#owner.forwardEnded(reason, errno, broken)
  }

  #speaks(side: Side): void {
    this.#spoke |= side === this.#client ? CLIENT_SPOKE : SERVER_SPOKE
    if (this.#isTunnel()) this.#inactivity.check()
  }

  #isTunnel(): boolean {
    return this.#route.tunnelTimeout > 0 && this.#firstFin === 0 && this.#spoke === BOTH_SPOKE
  }

  #clientLimit(): number {
    if (this.#isTunnel()) return this.#tunnelLimit(this.#server)
    const { clientFinTimeout, clientTimeout } = this.#listen
    return (this.#firstFin !== 0 && clientFinTimeout) || clientTimeout
  }

  #serverLimit(): number {
    if (this.#isTunnel()) return this.#tunnelLimit(this.#client)
    const { serverFinTimeout, serverTimeout } = this.#route
    return (this.#firstFin !== 0 && serverFinTimeout) || serverTimeout
  }

  /** The tunnel is idle only while both sides are: activity of either counts for both. */
  #tunnelLimit(other: Side): number {
    const side = other.peer as Side
    if (other.activity > side.activity) side.activity = other.activity
    return this.#route.tunnelTimeout
  }

  #timedOut(side: Side): void {
    const isClient = side === this.#client
    const fin = this.#firstFin !== 0
    let code: number = isClient ? Code.CLIENT_TIMEOUT : Code.SERVER_TIMEOUT
    if (this.#isTunnel()) code = Code.TUNNEL_TIMEOUT
    else if (fin && isClient && this.#listen.clientFinTimeout) code = Code.CLIENT_FIN_TIMEOUT
    else if (fin && !isClient && this.#route.serverFinTimeout) code = Code.SERVER_FIN_TIMEOUT
    this.#end(packReason(By.TIMEOUT, this.phase, code), 0)
  }
}
