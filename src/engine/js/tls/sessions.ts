/**
 * Resumption on the server side. Contexts of one group share the key of their
 * tickets and the cache of their sessions.
 *
 * Node keeps one ticket key: behind a rotation, clients with older tickets make
 * full handshakes. OpenSSL asks the cache for sessions of TLS 1.2 only; TLS 1.3
 * resumes by tickets.
 */

import { createHash, randomBytes } from 'node:crypto'
import type { Server } from 'node:tls'
import { Lru } from '../../../base/lru.js'
import { timer } from '../timer.js'

const TICKET_KEY_BYTES = 48
/** OpenSSL's default and most (RFC 8446 section 4.6.1), in seconds. */
const LIFETIME = 7200
const MAX_LIFETIME = 604_800

export class SessionGroup {
  /** For Node's `sessionIdContext`: OpenSSL resumes only sessions of an equal one. */
  readonly idContext: string
  readonly #rotation: number
  readonly #cache = new Lru<Buffer>(0)
  readonly #servers = new Set<Server>()
  #keys = randomBytes(TICKET_KEY_BYTES)
  #timer: NodeJS.Timeout | undefined

  /** @param rotation ms; 0 keeps the key. */
  constructor(name: string, rotation: number) {
    this.idContext = createHash('sha256').update(name).digest('hex').slice(0, 32)
    this.#rotation = rotation
    this.#rotateLater()
  }

  get ticketKeys(): Buffer {
    return this.#keys
  }

  /** How long sessions can be resumed, in seconds. */
  get lifetime(): number {
    const rotation = Math.ceil(this.#rotation / 1000)
    return rotation > 0 ? Math.min(rotation, MAX_LIFETIME) : LIFETIME
  }

  get unused(): boolean {
    return this.#servers.size === 0
  }

  /** The context's tickets are of the group from here on; `cache`: most sessions kept, 0: none. */
  join(server: Server, cache: number): void {
    this.#servers.add(server)
    if (cache <= 0) return
    this.#cache.limit = Math.max(this.#cache.limit, cache)
    server.on('newSession', (id: Buffer, session: Buffer, done: () => void) => {
      if (id.length > 0 && !isTls13(session)) this.#cache.set(id.toString('latin1'), session)
      done()
    })
    server.on(
      'resumeSession',
      (id: Buffer, done: (error: Error | null, session: Buffer | null) => void) => {
        done(null, this.#cache.get(id.toString('latin1')) ?? null)
      },
    )
  }

  leave(server: Server): void {
    this.#servers.delete(server)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #rotateLater(): void {
    this.#timer = timer(this.#rotation, () => {
      this.#keys = randomBytes(TICKET_KEY_BYTES)
      for (const server of this.#servers) server.setTicketKeys(this.#keys)
      this.#rotateLater()
    })
  }
}

/**
 * A session as OpenSSL writes it: SEQUENCE { INTEGER 1, INTEGER version, ... }.
 * Those of TLS 1.3 would only push others out.
 */
function isTls13(session: Buffer): boolean {
  const header = (session[1] ?? 0) & 0x80 ? 2 + ((session[1] ?? 0) & 0x7f) : 2
  return session.readUInt16BE(header + 5) === 0x0304
}
