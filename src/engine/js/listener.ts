/**
 * A listening socket. Node cannot stop accepting without closing the socket,
 * so connections beyond a limit (maxconn, a full table, a pause) are accepted
 * and held unserved, at most as many as the backlog, until there is room.
 */

import { chmod, lstat, unlink } from 'node:fs/promises'
import {
  type AddressInfo,
  connect,
  createServer,
  type ListenOptions,
  type Server,
  type Socket,
} from 'node:net'
import { SluiceError } from '../../errors.js'
import type { ListenAddress, ListenResult, ListenSpec } from '../engine.js'
import { type LocalAddress, recordAccepted, specificAddress } from './addresses.js'
import { Client } from './client.js'
import type { Core, Origin } from './core.js'
import { keepAlive } from './liveness.js'
import { errnoOf } from './reason.js'

export class Listener implements Origin {
  readonly id: number
  readonly spec: ListenSpec
  readonly #core: Core
  readonly #server: Server
  /** Accepted and not served yet, oldest first. */
  readonly #held = new Set<Socket>()
  #local: LocalAddress | undefined
  #active = 0
  #paused = false
  #closed = false

  constructor(core: Core, id: number, spec: ListenSpec) {
    this.#core = core
    this.id = id
    this.spec = spec
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, ...keepAlive(spec) })
    this.#server.on('connection', (socket) => this.#accepted(socket))
  }

  /** Binds and listens. @throws SluiceError (ERR_SLUICE_LISTEN) naming the address. */
  async listen(): Promise<ListenResult> {
    const { address, transparent, originalDst, userTimeout } = this.spec
    const reusePort = this.spec.reusePort === true && !NODE_SHARES_PORTS
    const name = describe(address)
    for (const [option, wanted] of Object.entries({
      transparent,
      originalDst,
      userTimeout,
      reusePort,
    })) {
      if (wanted) throw listenError(name, `the js engine has no '${option}', use the native engine`)
    }
    try {
      await this.#bind()
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw listenError(name, explain(code), error)
    }
    this.#server.on('error', (error) => {
      this.#core.dispatch.emit('listenerPaused', this.id, errnoOf(error))
    })
    const bound = this.#address()
    this.#local = specificAddress(bound.address, bound.port)
    return { listener: this.id, address: bound }
  }

  pause(paused: boolean): void {
    this.#paused = paused
    this.serveHeld()
  }

  /** Closes the listening socket. Connections that are held are reset, as the kernel does. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#server.close()
    for (const socket of this.#held) discard(socket)
    this.#held.clear()
    // close() has given the descriptor back already; its callback waits for connections to end.
    await new Promise((resolve) => setImmediate(resolve))
  }

  release(): void {
    this.#active--
    this.serveHeld()
  }

  /** Serves connections that are held, as far as there is room. */
  serveHeld(): void {
    for (const socket of this.#held) {
      if (!this.#hasRoom()) return
      this.#held.delete(socket)
      socket.removeAllListeners('error').removeAllListeners('close')
      this.#serve(socket)
    }
  }

  #hasRoom(): boolean {
    const { maxconn } = this.spec
    return (
      !this.#paused &&
      !this.#closed &&
      (maxconn <= 0 || this.#active < maxconn) &&
      this.#core.slots.free > 0
    )
  }

  #accepted(socket: Socket): void {
    if (this.#hasRoom() && this.#held.size === 0) this.#serve(socket)
    else if (this.#held.size < Math.max(1, this.spec.backlog)) this.#hold(socket)
    else discard(socket)
  }

  #serve(socket: Socket): void {
    const { clients, slots } = this.#core
    const slot = slots.allocate()
    recordAccepted(slots.table, slot, socket, this.#local)
    const client = new Client(this.#core, this, slot, socket)
    clients[slot] = client
    this.#active++
    client.advance()
  }

  #hold(socket: Socket): void {
    this.#held.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.#held.delete(socket))
  }

  async #bind(): Promise<void> {
    const { address } = this.spec
    try {
      await this.#listenOnce()
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (address.kind !== 'unix' || code !== 'EADDRINUSE') throw error
      // A socket whose process died is left over; one that answers, and any other file, is not ours.
      const found = await lstat(address.path)
      if (!found.isSocket() || (await answers(address.path))) throw error
      await unlink(address.path)
      await this.#listenOnce()
    }
    if (address.kind === 'unix' && address.mode !== undefined) {
      await chmod(address.path, address.mode)
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
      return { family, address: address.address, port: address.port }
    }
    const path = this.spec.address.kind === 'unix' ? this.spec.address.path : ''
    return { family: 'unix', address: address ?? path, port: 0 }
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
  if (address.kind === 'unix') return { path: address.path, backlog }
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
    const probe = connect({ path })
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED')
    })
  })
}

function discard(socket: Socket): void {
  socket.on('error', () => {})
  if (socket.remoteFamily === undefined) socket.destroy()
  else socket.resetAndDestroy()
}

function describe(address: ListenAddress): string {
  if (address.kind === 'fd') return `fd@${address.fd}`
  if (address.kind === 'unix') return address.path
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${host}:${address.port}`
}

const explanations: Record<string, string> = {
  EADDRINUSE: 'the address is in use',
  EADDRNOTAVAIL: 'the address is not one of this machine',
  EACCES: 'permission denied',
  ENOENT: 'the folder does not exist',
  ENOTFOUND: 'the host name does not resolve',
  EBADF: 'the descriptor is not open',
  ENOTSOCK: 'the descriptor is no socket',
}

function explain(code: string | undefined): string {
  const text = explanations[code ?? '']
  return text ? `${text} (${code})` : (code ?? 'unknown error')
}

function listenError(name: string, message: string, cause?: unknown): SluiceError {
  return new SluiceError('ERR_SLUICE_LISTEN', `Cannot listen on ${name}: ${message}.`, { cause })
}
