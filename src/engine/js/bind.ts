/** A listening socket of Node: bound, with the file of a unix one, until it is closed. */

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
import type { ListenResult, ListenSpec } from '../engine.js'
import { listenError, listenRefused } from '../listen-error.js'
import { isAbstract, keepAlive, unixPath } from './options.js'

/** Most turns of the loop in which a listener that is being closed goes on accepting. */
const LAST_TURNS = 32

export class ListeningSocket {
  readonly #spec: ListenSpec
  readonly #server: Server
  readonly #failed: (error: NodeJS.ErrnoException) => void
  /** Connections that Node has accepted. */
  #arrived = 0
  /** Which file the socket has, where it is a unix one. */
  #file: { path: string; file: string | undefined } | undefined

  /** `failed`: told what accept() fails with, once it listens. */
  constructor(
    spec: ListenSpec,
    accepted: (socket: Socket) => void,
    failed: (error: NodeJS.ErrnoException) => void,
  ) {
    this.#spec = spec
    this.#failed = failed
    this.#server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      pauseOnConnect: true,
      ...keepAlive(spec),
    })
    this.#server.on('connection', (socket) => {
      this.#arrived++
      accepted(socket)
    })
  }

  /** Binds and listens. @throws SluiceError (ERR_SLUICE_LISTEN) naming the address. */
  async listen(): Promise<ListenResult['address']> {
    const { address, transparent, originalDst, userTimeout } = this.#spec
    const reusePort = this.#spec.reusePort === true && !NODE_SHARES_PORTS
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
    this.#server.on('error', this.#failed)
    return this.#address()
  }

  /** `last`: whoever is on the way already is accepted before. */
  async close(last: boolean): Promise<void> {
    if (last) await this.#acceptLast()
    this.#keepingFile(() => this.#server.close())
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

  async #bind(): Promise<void> {
    const { address } = this.#spec
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
      server.listen(listenOptions(this.#spec), () => {
        server.off('error', reject)
        resolve()
      })
    })
  }

  #address(): ListenResult['address'] {
    const address = this.#server.address() as AddressInfo | string | null
    if (address !== null && typeof address === 'object') {
      const family = address.family === 'IPv6' ? 'IPv6' : 'IPv4'
      const ip = withScope(address.address, this.#spec.address)
      return { family, address: ip, port: address.port }
    }
    const path = this.#spec.address.kind === 'unix' ? this.#spec.address.path : undefined
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
