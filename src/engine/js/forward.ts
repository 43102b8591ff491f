/** Forwarding between two connections by hand, in both directions, with back-pressure and half-close. */

import { packReason } from '../../wire/reason.js'
import { By, Code, Phase } from '../../wire/wire.js'
import type { ListenSpec, RouteSpec } from '../engine.js'
import { Exchange } from '../model/exchange.js'
import { Inactivity } from '../model/inactivity.js'
import type { OwnTimeouts } from '../model/own-timeouts.js'
import { streamFailure } from './reason.js'
import type { Shared } from './shared.js'
import type { Side, SideHandler } from './side.js'
import { WatchedSide } from './watch.js'

/** Bytes that may wait in Node for one side before reading from the other stops. */
export const HIGH_WATER = 65536

/**
 * Told exactly once how the forwarding ended. Sides that are still open then are the owner's.
 * `broken`: the side that ended in the midst of its payload, or may have; not of a time-out.
 */
export interface ForwardOwner {
  forwardEnded(reason: number, errno: number, broken: Side | undefined): void
}

export class Forward implements SideHandler {
  readonly #shared: Shared
  readonly #owner: ForwardOwner
  readonly #client: Side
  readonly #server: Side
  readonly #exchange: Exchange
  readonly #inactivity: Inactivity<WatchedSide>
  #ended = false

  constructor(
    shared: Shared,
    owner: ForwardOwner,
    client: Side,
    server: Side,
    listen: ListenSpec,
    route: RouteSpec,
    own: OwnTimeouts | undefined,
  ) {
    this.#shared = shared
    this.#owner = owner
    this.#client = client
    this.#server = server
    const exchange = new Exchange(listen, route, own)
    this.#exchange = exchange
    this.#inactivity = new Inactivity(
      shared,
      [
        new WatchedSide(client, () => exchange.limit(By.CLIENT)),
        new WatchedSide(server, () => exchange.limit(By.SERVER)),
      ],
      ({ side }) =>
        this.#end(packReason(By.TIMEOUT, this.phase, exchange.timeoutCode(this.#byOf(side))), 0),
      () => exchange.tunnel,
    )
  }

  /** Phase for a reason: closing once either side is shut. */
  get phase(): number {
    return this.#exchange.phase
  }

  /** The connection has time-outs of its own now. */
  use(own: OwnTimeouts): void {
    this.#exchange.own = own
  }

  /** Some of them may be other ones now. */
  retime(): void {
    this.#inactivity.check()
  }

  /** Starts with what the client has sent so far, and what the server sent behind its handshakes. */
  start(request: Buffer, response: Buffer | undefined): void {
    const client = this.#client
    const server = this.#server
    const now = this.#shared.now()
    client.peer = server
    server.peer = client
    client.handler = this
    server.handler = this
    client.activity = now
    server.activity = now
    if (request.length > 0) server.write(request)
    if (response) client.write(response)
    if (request.length > 0) this.#exchange.speaks(By.CLIENT)
    if (response) this.#exchange.speaks(By.SERVER)
    if (client.eof) this.end(client)
    if (this.#ended) return
    if (server.socket.writableLength <= HIGH_WATER) client.resume()
    else client.holdBack()
    this.#inactivity.check()
  }

  data(side: Side, chunk: Buffer): void {
    const now = this.#shared.now()
    const to = side.peer as Side
    side.activity = now
    const waiting = to.write(chunk)
    // A side that takes bytes is not silent.
    if (waiting === 0) to.activity = now
    else if (waiting > HIGH_WATER) side.holdBack()
    if (!this.#exchange.mutual) this.#speaks(side)
  }

  drain(side: Side): void {
    const now = this.#shared.now()
    const from = side.peer as Side
    side.activity = now
    // While it was held back it could not be active: its time starts again.
    if (!from.reading) from.activity = now
    from.resume()
  }

  end(side: Side): void {
    this.#exchange.ends(this.#byOf(side))
    side.activity = this.#shared.now()
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
    const by = this.#byOf(side)
    if (side.error) {
      const failure = streamFailure(side.error, by)
      this.#end(packReason(failure.by, this.phase, failure.code), failure.errno, side)
    } else if ((side.peer as Side).closed) {
      this.#end(this.#cleanEnd(by), 0)
    }
  }

  /** Both sides have ended. A FIN without close_notify may have cut payload off: the first is told. */
  #cleanEnd(last: number): number {
    const first = this.#exchange.firstFin || last
    const sides = [this.#client, this.#server]
    if (first === By.SERVER) sides.reverse()
    const truncated = sides.find((side) => side.truncated)
    return truncated ? this.#truncation(truncated) : packReason(first, Phase.DATA, Code.DONE)
  }

  #truncation(side: Side): number {
    const by = this.#byOf(side)
    const phase = by === this.#exchange.firstFin ? Phase.DATA : Phase.CLOSE
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
    this.#exchange.speaks(this.#byOf(side))
    // Its time-out may be a shorter one.
    if (this.#exchange.tunnel) this.#inactivity.check()
  }

  #byOf(side: Side): number {
    return side === this.#client ? By.CLIENT : By.SERVER
  }
}
