/**
 * A listening socket. Node cannot stop accepting without closing the socket,
 * so connections beyond a limit (maxconn, a full table, a pause) are accepted
 * and held unserved, at most as many as the backlog, until there is room. They
 * are not read from before: what they send, and their end, wait in the kernel.
 */

import { existsSync, linkSync, lstatSync, renameSync } from 'node:fs'
import { chmod, lstat, unlink } from 'node:fs/promises'
import {
  type AddressInfo,
  connect,
  createServer,
  type ListenOptions,
  type Server,
  type Socket,
} from 'node:net'
import { constants } from 'node:os'
import { dirname } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ListenAddress } from '../../address/bind.js'
import { withScope } from '../../address/text.js'
import { packReason } from '../../wire/reason.js'
import { By, Code, Family, Field, Phase } from '../../wire/wire.js'
import type { ListenResult, ListenSpec } from '../engine.js'
import { listenError, listenRefused } from '../listen-error.js'
import { type Ends, type LocalAddress, recordEnds } from '../model/addresses.js'
import { endsOf, specificAddress } from './addresses.js'
import { Client } from './client.js'
import type { Core, Origin } from './core.js'
import { isAbstract, keepAlive, unixPath } from './options.js'
import { errnoOf } from './reason.js'

/** Most turns of the loop in which a listener that is being closed goes on accepting. */
const LAST_TURNS = 32

/** A connection that was accepted. Its ends are undefined where the client has gone already. */
interface Arrival {
  socket: Socket
  ends: Ends | undefined
}

export class Listener implements Origin {
  readonly id: number
  readonly spec: ListenSpec
  readonly #core: Core
  readonly #clients: Map<number, Client>
  readonly #server: Server
  /** Accepted and not served yet, oldest first. */
  readonly #held = new Set<Arrival>()
  #local: LocalAddress | undefined
  #unix = false
  #active = 0
  /** Connections that Node has accepted. */
  #arrived = 0
  #paused = false
  #closed = false
  /** Nobody is accepted any more. */
  #finished = false
  #allServed = () => {}
  /** Of the closed listener: nobody is held any more. */
  readonly #served = new Promise<void>((resolve) => {
    this.#allServed = resolve
  })
  /** Which file the socket has, where it is a unix one. */
  #file: { path: string; file: string | undefined } | undefined

  /** `clients`: of all listeners, by slot. */
  constructor(core: Core, clients: Map<number, Client>, id: number, spec: ListenSpec) {
    this.#core = core
    this.#clients = clients
    this.id = id
    this.spec = spec
    this.#server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      pauseOnConnect: true,
      ...keepAlive(spec),
    })
    this.#server.on('connection', (socket) => this.#accepted(socket))
  }

  /** Binds and listens. @throws SluiceError (ERR_SLUICE_LISTEN) naming the address. */
  async listen(): Promise<ListenResult> {
    const { address, transparent, originalDst, userTimeout } = this.spec
    const reusePort = this.spec.reusePort === true && !NODE_SHARES_PORTS
    for (const [option, wanted] of Object.entries({
      transparent,
      originalDst,
      userTimeout,
      reusePort,
    })) {
      if (wanted)
        throw listenRefused(address, `the js engine has no '${option}', use the native engine`)
    }
    try {
      await this.#bind()
    } catch (error) {
      throw listenError(address, missingFolder(address, error as NodeJS.ErrnoException))
    }
    this.#server.on('error', (error) => {
      const event = this.#core.dispatch.about(-1, 0)
      event.listener = this.id
      event.errno = errnoOf(error)
      this.#core.dispatch.tell('listenerPaused', event)
    })
    const bound = this.#address()
    this.#unix = bound.family === 'unix'
    this.#local = specificAddress(bound.address, bound.port)
    return { listener: this.id, address: bound }
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
      if (!now) await this.#acceptLast()
      this.#keepingFile(() => this.#server.close())
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

  /**
   * Node accepts one or some in each turn of its loop, and what it has not accepted would be
   * reset: waits for turns in which nobody came, but not for ever, as newcomers come, too.
   */
  async #acceptLast(): Promise<void> {
    let idle = 0
    for (let turn = 0; turn < LAST_TURNS && idle < 2; turn++) {
      const before = this.#arrived
      await nextTurn()
      idle = this.#arrived === before ? idle + 1 : 0
    }
  }

  /**
   * Node removes the path of a unix socket with the socket, whoever has put it there: another
   * process's is kept under another name meanwhile.
   */
  #keepingFile(close: () => void): void {
    const { path, file } = this.#file ?? {}
    if (path === undefined || fileOf(path) === file) {
      close()
      return
    }
    const kept = `${path}.${process.pid}`
    try {
      linkSync(path, kept)
    } catch {
      // There is none.
    }
    close()
    try {
      renameSync(kept, path)
    } catch {}
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
    return !this.#paused && (maxconn <= 0 || this.#active < maxconn) && this.#core.slots.free > 0
  }

  #accepted(socket: Socket): void {
    this.#arrived++
    const arrival = { socket, ends: this.#unix ? undefined : endsOf(socket, this.#local) }
    if (this.#hasRoom() && this.#held.size === 0) this.#serve(arrival)
    else if (this.#held.size < Math.max(1, this.spec.backlog)) this.#held.add(arrival)
    else discard(socket)
  }

  #serve({ socket, ends }: Arrival): void {
    const { slots } = this.#core
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
    const client = new Client(this.#core, this, slot, socket)
    this.#clients.set(slot, client)
    this.#active++
    socket.resume()
    client.advance()
  }

  /**
   * The client has reset, and nobody can say any more who it was: no rule may judge it by an
   * empty address, and nothing that it sent may be served.
   */
  #unknown(slot: number, socket: Socket): void {
    const { dispatch, slots } = this.#core
    const { table } = slots
    discard(socket)
    table.set(slot, Field.FAMILY, Family.NONE)
    table.set(slot, Field.LISTENER, this.id)
    const now = this.#core.now()
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

  async #bind(): Promise<void> {
    const { address } = this.spec
    try {
      await this.#listenOnce()
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (address.kind !== 'unix' || code !== 'EADDRINUSE' || isAbstract(address.path)) throw error
      // A socket whose process died is left over; one that answers, and any other file, is not ours.
      const found = await lstat(address.path)
      if (!found.isSocket() || (await answers(address.path))) throw error
      await unlink(address.path)
      await this.#listenOnce()
    }
    if (address.kind !== 'unix' || isAbstract(address.path)) return
    const { path, mode } = address
    this.#file = { path, file: fileOf(path) }
    if (mode === undefined) return
    try {
      await chmod(path, mode)
    } catch (error) {
      // Nobody shall connect to what has other permissions than it should.
      this.#server.close()
      throw error
    }
  }

  #listenOnce(): Promise<void> {
    const server = this.#server
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(listenOptions(this.spec), () => {
        server.off('error', reject)
        resolve()
      })
    })
  }

  #address(): ListenResult['address'] {
    const address = this.#server.address() as AddressInfo | string | null
    if (address !== null && typeof address === 'object') {
      const family = address.family === 'IPv6' ? 'IPv6' : 'IPv4'
      const ip = withScope(address.address, this.spec.address)
      return { family, address: ip, port: address.port }
    }
    const path = this.spec.address.kind === 'unix' ? this.spec.address.path : undefined
    return { family: 'unix', address: path ?? address ?? '', port: 0 }
  }
}

/** Node has `reusePort` since 23.1 and 22.12, and older versions do not say that they lack it. */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const NODE_SHARES_PORTS =
  major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12)

function listenOptions({
  address,
  backlog,
  reusePort = false,
}: ListenSpec): ListenOptions & { fd?: number; reusePort?: boolean } {
  if (address.kind === 'fd') return { fd: address.fd }
  if (address.kind === 'unix') return { path: unixPath(address.path), backlog }
  return {
    host: address.host,
    port: address.port,
    backlog,
    exclusive: true,
    ...(reusePort && { reusePort }),
    ...(address.v6only === undefined ? {} : { ipv6Only: address.v6only }),
  }
}

/** Resolves whether somebody accepts connections on the unix socket `path`. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path: unixPath(path) })
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED')
    })
  })
}

/** Identity of a file; undefined where there is none. */
function fileOf(path: string): string | undefined {
  try {
    const { dev, ino } = lstatSync(path)
    return `${dev} ${ino}`
  } catch {
    return undefined
  }
}

/** libuv says EACCES of a folder that is not there (uv_pipe_bind), for the sake of Windows. */
function missingFolder(address: ListenAddress, error: NodeJS.ErrnoException): Error {
  if (error.code !== 'EACCES' || address.kind !== 'unix' || isAbstract(address.path)) return error
  if (existsSync(dirname(address.path))) return error
  const [errno, code] = [-constants.errno.ENOENT, 'ENOENT']
  return Object.assign(new Error(`bind: ${code}`, { cause: error }), {
    code,
    errno,
    syscall: 'bind',
  })
}

function discard(socket: Socket): void {
  socket.on('error', () => {})
  if (socket.remoteFamily === undefined) socket.destroy()
  else socket.resetAndDestroy()
}
