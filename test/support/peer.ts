/** Scripted TCP peers: a client or a server whose every byte, FIN and RST the test decides. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** How long a test waits for something that should happen, in ms, before it fails with a message. */
export const PATIENCE = 15_000

export type Target = { port: number; host?: string } | { path: string }

/** How the other end ended. */
export type Ending = 'fin' | 'reset'

export class Peer {
  readonly socket: Socket
  /** Bytes that came altogether. */
  received = 0
  #chunks: Buffer[] = []
  #buffered = 0
  #ending: Ending | undefined
  #changed: (() => void)[] = []

  constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => {
      this.#chunks.push(chunk)
      this.#buffered += chunk.length
      this.received += chunk.length
      this.#wake()
    })
    socket.on('end', () => this.#end(hasLostPeer(socket) ? 'reset' : 'fin'))
    socket.on('error', () => this.#end('reset'))
    socket.on('close', () => this.#end('reset'))
  }

  static async connect(target: Target): Promise<Peer> {
    const options = 'port' in target ? { host: '127.0.0.1', ...target } : target
    const socket = connect({ ...options, allowHalfOpen: true })
    await once(socket, 'connect')
    return new Peer(socket)
  }

  /** Writes and waits until the bytes are with the kernel. */
  send(bytes: Uint8Array | string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.write(bytes, (error) => (error ? reject(error) : resolve()))
    })
  }

  /** Sends the pieces between the cuts as segments of their own. */
  async sendSplit(bytes: Uint8Array, cuts: readonly number[]): Promise<void> {
    let from = 0
    for (const cut of [...cuts, bytes.length]) {
      if (cut <= from) continue
      if (from > 0) await delay(1)
      await this.send(bytes.subarray(from, cut))
      from = cut
    }
  }

  async sendByteByByte(bytes: Uint8Array): Promise<void> {
    await this.sendSplit(
      bytes,
      Array.from({ length: bytes.length }, (_, i) => i),
    )
  }

  /** The next `length` bytes. */
  async read(length: number): Promise<Buffer> {
    await this.until(() => this.#buffered >= length || this.#ending !== undefined)
    assert.ok(this.#buffered >= length, `only ${this.#buffered} of ${length} bytes came`)
    const all = Buffer.concat(this.#chunks)
    this.#chunks = [all.subarray(length)]
    this.#buffered -= length
    return all.subarray(0, length)
  }

  /** The next bytes are these. */
  async expect(bytes: Uint8Array | string): Promise<void> {
    const expected = Buffer.from(bytes as string)
    const actual = await this.read(expected.length)
    assert.deepEqual(actual.toString('latin1'), expected.toString('latin1'))
  }

  /** Everything up to the other end's FIN; fails where it resets. */
  async readToEnd(): Promise<Buffer> {
    assert.equal(await this.ending(), 'fin')
    return this.rest()
  }

  /** What has come and was not read yet. */
  rest(): Buffer {
    const all = Buffer.concat(this.#chunks)
    this.#chunks = []
    this.#buffered = 0
    return all
  }

  /** Waits for the end that the other side makes. */
  async ending(): Promise<Ending> {
    await this.until(() => this.#ending !== undefined)
    return this.#ending as Ending
  }

  get ended(): Ending | undefined {
    return this.#ending
  }

  fin(): void {
    this.socket.end()
  }

  reset(): void {
    this.socket.resetAndDestroy()
  }

  /** Stops reading: the receive window fills. */
  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  destroy(): void {
    this.socket.destroy()
  }

  /** Waits until `condition` holds; it is asked whenever something came. */
  async until(condition: () => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE
    while (!condition()) {
      assert.ok(performance.now() < deadline, `nothing came: ${this.#buffered} bytes wait`)
      await Promise.race([new Promise<void>((wake) => this.#changed.push(wake)), delay(500)])
    }
  }

  #end(ending: Ending): void {
    this.#ending ??= ending
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#changed
    this.#changed = []
    for (const wake of waiting) wake()
  }
}

/**
 * libuv takes a RST right behind unread bytes for a FIN; but then the kernel knows no peer any
 * more. Behind a FIN of ours it knows none either way.
 */
function hasLostPeer(socket: Socket): boolean {
  if (socket.writableEnded) return false
  const { _handle: handle } = socket as { _handle?: { getpeername?(out: object): number } | null }
  return (handle?.getpeername?.({}) ?? 0) !== 0
}

/** A listening socket whose connections the test takes one by one. */
export class PeerServer {
  readonly #server: Server
  readonly #peers: Peer[] = []
  readonly #waiting: ((peer: Peer) => void)[] = []
  /** Every connection that came. */
  readonly all: Peer[] = []

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', (socket) => {
      const peer = new Peer(socket)
      this.all.push(peer)
      const next = this.#waiting.shift()
      if (next) next(peer)
      else this.#peers.push(peer)
    })
  }

  static async listen(at: { host?: string; path?: string } = {}): Promise<PeerServer> {
    const server = createServer({ allowHalfOpen: true })
    server.listen(at.path ? { path: at.path } : { host: at.host ?? '127.0.0.1', port: 0 })
    await once(server, 'listening')
    return new PeerServer(server)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** The next connection. */
  async accept(): Promise<Peer> {
    const ready = this.#peers.shift()
    if (ready) return ready
    const taken = new Promise<Peer>((resolve) => this.#waiting.push(resolve))
    const late = delay(PATIENCE, undefined, { ref: false }).then(() => {
      throw new Error('nobody connected')
    })
    return Promise.race([taken, late])
  }

  close(): void {
    this.#server.close()
    for (const peer of this.all) peer.destroy()
  }
}

/** A port of 127.0.0.1 on which nobody listens. */
export async function closedPort(): Promise<number> {
  const server = await PeerServer.listen()
  const { port } = server
  server.close()
  return port
}

/** A connection that is being made: not awaited, for what never completes. */
export function dialing(target: { port: number }): Socket {
  const socket = new Socket({ allowHalfOpen: true })
  socket.on('error', () => {})
  return socket.connect({ host: '127.0.0.1', ...target })
}
