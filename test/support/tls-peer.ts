/**
 * TLS peers by node:tls: a client or a server whose payload, close_notify, FIN
 * and RST the test decides, each for itself.
 */

import { once } from 'node:events'
import { type AddressInfo, connect, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type ConnectionOptions,
  connect as connectTls,
  createServer,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls'
import { PATIENCE, Peer, PeerServer } from './peer.js'

export interface DialOptions extends ConnectionOptions {
  /** Sent in clear before the handshake, such as a PROXY header. */
  before?: Uint8Array | string
}

/** What a handshake came to. */
export interface Attempt {
  /** Complete, as the client sees it. */
  peer: TlsPeer | undefined
  /** Code of the error ('ERR_SSL_...', 'ECONNRESET'), where it failed. */
  error: string | undefined
}

/** A peer that speaks TLS. `socket` is the TLS side of it; `raw` is the TCP socket below. */
export class TlsPeer extends Peer {
  readonly tls: TLSSocket
  readonly #raw: Socket | undefined

  constructor(tls: TLSSocket, raw?: Socket) {
    super(tls)
    this.tls = tls
    this.#raw = raw
  }

  /** Connects and completes the handshake. Any certificate of the server will do. */
  static async dial(port: number, options: DialOptions = {}): Promise<TlsPeer> {
    const { peer, error } = await TlsPeer.attempt(port, options)
    if (!peer) throw new Error(`the handshake failed: ${error}`)
    return peer
  }

  /** Connects and tries the handshake; never rejects for what the other side does. */
  static async attempt(port: number, options: DialOptions = {}): Promise<Attempt> {
    const { before, ...tlsOptions } = options
    const raw = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    raw.on('error', () => {})
    await once(raw, 'connect')
    raw.setNoDelay(true)
    if (before) raw.write(before)
    return TlsPeer.over(raw, tlsOptions)
  }

  /** Tries the handshake over a connection that is there. */
  static over(raw: Socket, options: ConnectionOptions): Promise<Attempt> {
    const tls = connectTls({ rejectUnauthorized: false, ...options, socket: raw })
    const peer = new TlsPeer(tls, raw)
    return new Promise((resolve) => {
      let complete = false
      const failed = (error: string | undefined) => {
        // Behind the handshake, an end is the test's business.
        if (complete) return
        tls.destroy()
        raw.destroy()
        resolve({ peer: undefined, error })
      }
      tls.once('secureConnect', () => {
        complete = true
        resolve({ peer, error: undefined })
      })
      tls.on('error', (error: NodeJS.ErrnoException) => failed(error.code ?? error.message))
      tls.once('close', () => failed('closed'))
      tls.once('end', () => failed('ended'))
      const late = setTimeout(() => failed('late'), PATIENCE)
      tls.once('close', () => clearTimeout(late))
      tls.once('secureConnect', () => clearTimeout(late))
    })
  }

  /** Common name of the certificate that the other side showed. */
  get shown(): string {
    const { subject } = this.tls.getPeerCertificate()
    return String(subject?.CN ?? '')
  }

  /** A session that a later handshake may resume: TLS 1.3 sends it behind the handshake. */
  async session(): Promise<Buffer> {
    const now = this.tls.getSession()
    if (this.tls.getProtocol() === 'TLSv1.2' && now) return now
    const late = delay(PATIENCE, undefined, { ref: false }).then(() => {
      throw new Error('no session came')
    })
    return Promise.race([this.#newSession, late])
  }

  readonly #newSession = new Promise<Buffer>((resolve) => {
    // Set before the handshake, so that no ticket is missed.
    queueMicrotask(() => this.tls.on('session', resolve))
  })

  /** RST, without a close_notify. */
  override reset(): void {
    if (this.#raw) this.#raw.resetAndDestroy()
    else super.destroy()
  }

  /** FIN, without a close_notify. */
  truncate(): void {
    this.#raw?.end()
  }

  override destroy(): void {
    this.tls.destroy()
    this.#raw?.destroy()
  }
}

/** A TLS server whose connections the test takes one by one, once their handshake is complete. */
export class TlsServer {
  readonly #server: Server
  readonly #peers: TlsPeer[] = []
  readonly #waiting: ((peer: TlsPeer) => void)[] = []
  /** TCP sockets by the port of the other end. */
  readonly #sockets = new Map<number | undefined, Socket>()
  /** Every connection whose handshake was complete. */
  readonly all: TlsPeer[] = []
  /** Codes of the handshakes that failed. */
  readonly errors: string[] = []
  /** Server names that were asked for. */
  readonly asked: string[] = []

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server
    server.on('connection', (socket: Socket) => {
      const port = socket.remotePort
      this.#sockets.set(port, socket)
      socket.on('close', () => this.#sockets.delete(port))
      socket.on('error', () => {})
    })
    server.on('tlsClientError', (error: NodeJS.ErrnoException) => {
      this.errors.push(error.code ?? error.message)
    })
    server.on('secureConnection', (tls: TLSSocket & { servername?: string | false }) => {
      this.asked.push(tls.servername || '')
      const peer = new TlsPeer(tls, this.#sockets.get(tls.remotePort))
      this.all.push(peer)
      const next = this.#waiting.shift()
      if (next) next(peer)
      else this.#peers.push(peer)
    })
  }

  static async listen(options: TlsOptions): Promise<TlsServer> {
    const server = createServer({ allowHalfOpen: true, ...options })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new TlsServer(server)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** TCP connections that are open. */
  get open(): number {
    return this.#sockets.size
  }

  /** The next connection. */
  async accept(): Promise<TlsPeer> {
    const ready = this.#peers.shift()
    if (ready) return ready
    const taken = new Promise<TlsPeer>((resolve) => this.#waiting.push(resolve))
    const late = delay(PATIENCE, undefined, { ref: false }).then(() => {
      throw new Error(`nobody connected; failed: ${this.errors.join(', ')}`)
    })
    return Promise.race([taken, late])
  }

  endPeers(): void {
    for (const peer of this.all) peer.destroy()
    for (const socket of this.#sockets.values()) socket.destroy()
  }

  close(): void {
    this.#server.close()
    this.endPeers()
  }
}

/** What a client sends first: its ClientHello in one record. */
export async function helloBytes(options: ConnectionOptions = {}): Promise<Buffer> {
  const server = await PeerServer.listen()
  const tls = connectTls({ host: '127.0.0.1', port: server.port, ...options })
  tls.on('error', () => {})
  try {
    const peer = await server.accept()
    const header = await peer.read(5)
    return Buffer.concat([header, await peer.read(header.readUInt16BE(3))])
  } finally {
    tls.destroy()
    server.close()
  }
}
