/**
 * Who is accepted, and when. Node cannot stop accepting without closing the socket,
 * so connections beyond a limit (maxconn, a full table, a pause) are accepted
 * and held unserved, at most as many as the backlog, until there is room. They
 * are not read from before: what they send, and their end, wait in the kernel.
 */

import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { packReason } from '../../wire/reason.js'
import { By, Code, Family, Field, Phase } from '../../wire/wire.js'
import type { ListenResult, ListenSpec } from '../engine.js'
import { type Ends, type LocalAddress, recordEnds } from '../model/addresses.js'
import { endsOf, specificAddress } from './addresses.js'
import { ListeningSocket } from './bind.js'
import { Client } from './client.js'
import { errnoOf } from './reason.js'
import type { Origin, Shared } from './shared.js'

/** A connection that was accepted. Its ends are undefined where the client has gone already. */
interface Arrival {
  socket: Socket
  ends: Ends | undefined
}

export class Acceptor implements Origin {
  readonly id: number
  readonly spec: ListenSpec
  readonly #shared: Shared
  readonly #clients: Map<number, Client>
  readonly #socket: ListeningSocket
  /** Accepted and not served yet, oldest first. */
  readonly #held = new Set<Arrival>()
  #local: LocalAddress | undefined
  #unix = false
  #active = 0
  #paused = false
  #closed = false
  /** Nobody is accepted any more. */
  #finished = false
  #allServed = () => {}
  /** Of the closed listener: nobody is held any more. */
  readonly #served = new Promise<void>((resolve) => {
    this.#allServed = resolve
  })

  /** `clients`: of all listeners, by slot. */
  constructor(shared: Shared, clients: Map<number, Client>, id: number, spec: ListenSpec) {
    this.#shared = shared
    this.#clients = clients
    this.id = id
    this.spec = spec
    this.#socket = new ListeningSocket(
      spec,
      (socket) => this.#accepted(socket),
      (error) => this.#failed(error),
    )
  }

  /** Binds and listens. @throws SluiceError (ERR_SLUICE_LISTEN) naming the address. */
  async listen(): Promise<ListenResult> {
    const address = await this.#socket.listen()
    this.#unix = address.family === 'unix'
    this.#local = specificAddress(address.address, address.port)
    return { listener: this.id, address }
  }

  pause(paused: boolean): void {
    this.#paused = paused
    queueMicrotask(() => this.serveHeld())
  }

  /**
   * Closes the listening socket. Connections that are held are served as there is room; it
   * resolves when none is left. `now`: they are reset.
   */
  async close(now: boolean): Promise<void> {
    if (!this.#closed) {
      this.#closed = true
      this.#paused = false
      await this.#socket.close(!now)
      this.#finished = true
    }
    if (now) {
      for (const { socket } of this.#held) discard(socket)
      this.#held.clear()
    }
    this.serveHeld()
    // close() has given the descriptor back already; its callback waits for connections to end.
    await nextTurn()
    await this.#served
  }

  release(slot: number): void {
    this.#clients.delete(slot)
    this.#active--
    this.serveHeld()
  }

  /** Serves connections that are held, as far as there is room. */
  serveHeld(): void {
    for (const arrival of this.#held) {
      if (!this.#hasRoom()) return
      this.#held.delete(arrival)
      this.#serve(arrival)
    }
    if (this.#finished) this.#allServed()
  }

  #hasRoom(): boolean {
    const { maxconn } = this.spec
    return !this.#paused && (maxconn <= 0 || this.#active < maxconn) && this.#shared.slots.free > 0
  }

  #accepted(socket: Socket): void {
    const arrival = { socket, ends: this.#unix ? undefined : endsOf(socket, this.#local) }
    if (this.#hasRoom() && this.#held.size === 0) this.#serve(arrival)
    else if (this.#held.size < Math.max(1, this.spec.backlog)) this.#held.add(arrival)
    else discard(socket)
  }

  #failed(error: NodeJS.ErrnoException): void {
    const event = this.#shared.dispatch.about(-1, 0)
    event.listener = this.id
    event.errno = errnoOf(error)
    this.#shared.dispatch.tell('listenerPaused', event)
  }

  #serve({ socket, ends }: Arrival): void {
    const { slots } = this.#shared
    const slot = slots.allocate()
    const { table } = slots
    if (ends) {
      recordEnds(table, slot, ends)
    } else if (this.#unix) {
      table.set(slot, Field.FAMILY, Family.UNIX)
    } else {
      this.#unknown(slot, socket)
      return
    }
    const client = new Client(this.#shared, this, slot, socket)
    this.#clients.set(slot, client)
    this.#active++
    socket.resume()
    client.start()
  }

  /**
   * The client has reset, and nobody can say any more who it was: no rule may judge it by an
   * empty address, and nothing that it sent may be served.
   */
  #unknown(slot: number, socket: Socket): void {
    const { dispatch, slots } = this.#shared
    const { table } = slots
    discard(socket)
    table.set(slot, Field.FAMILY, Family.NONE)
    table.set(slot, Field.LISTENER, this.id)
    const now = this.#shared.now()
    table.set(slot, Field.OPENED_AT, now)
    const reason = packReason(By.CLIENT, Phase.ACCEPT, Code.RESET)
    table.set(slot, Field.REASON, reason)
    const event = dispatch.about(slot, table.generation(slot))
    event.reason = reason
    event.errno = 0
    event.clock = now
    event.connectTime = -1
    dispatch.tell('closed', event)
    slots.release(slot)
  }
}

function discard(socket: Socket): void {
  socket.on('error', () => {})
  if (socket.remoteFamily === undefined) socket.destroy()
  else socket.resetAndDestroy()
}
