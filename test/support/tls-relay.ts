/**
 * A TCP relay between a TLS peer and the proxy, which cuts, injects and splits
 * at a byte of the test's choice, and keeps what went through.
 */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** `up` is from whoever connected to the relay, `down` is towards it. */
export type Direction = 'up' | 'down'

/** What happens to a direction once its bytes went through: the receiver feels it. */
export type Cut = 'rst' | 'fin' | 'silence'

export interface Plan {
  direction: Direction
  /** Bytes of the direction that go through. */
  after: number
  cut: Cut
  /** Sent behind them, before the cut. */
  inject?: Uint8Array
}

export interface RelayOptions {
  plan?: Plan
  /** Writes of one byte. */
  byteByByte?: boolean
  /** Rewrites the first chunk that came from whoever connected. */
  firstUp?: (bytes: Buffer) => Buffer
  /** Where the first chunk `up` is cut in two segments. */
  splitUp?: number
  /** FINs are not passed on. */
  keepOpen?: boolean
  /** Reads no more than its receivers take. */
  holdsBack?: boolean
}

export class Relay {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #pairs: { from: Socket; to: Socket }[] = []
  /** What each connection carried, cut or not. */
  readonly carried: { up: Buffer[]; down: Buffer[] }[] = []
  options: RelayOptions
  /** Cuts that were made. */
  cuts = 0

  private constructor(server: Server, target: number, options: RelayOptions) {
    this.#server = server
    this.options = options
    server.on('connection', (from: Socket) => this.#relay(from, target))
  }

  static async listen(target: number, options: RelayOptions = {}): Promise<Relay> {
    // The peer may close its listener; the relay stands for it in between.
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Relay(server, target, options)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Bytes of connection `n` (from 0) in a direction. */
  bytes(direction: Direction, n = 0): Buffer {
    return Buffer.concat(this.carried[n]?.[direction] ?? [])
  }

  /** Sends bytes as if the other side had sent them. */
  inject(direction: Direction, bytes: Uint8Array): void {
    for (const { from, to } of this.#pairs) (direction === 'up' ? to : from).write(bytes)
  }

  endPeers(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  close(): void {
    this.#server.close()
    this.endPeers()
  }

  #relay(from: Socket, target: number): void {
    const to = connect({ host: '127.0.0.1', port: target, allowHalfOpen: true, noDelay: true })
    for (const socket of [from, to]) {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('error', () => {})
    }
    this.#pairs.push({ from, to })
    const carried = { up: [], down: [] }
    this.carried.push(carried)
    from.on('close', () => to.destroy())
    to.on('close', () => from.destroy())
    void this.#carry(from, to, 'up', carried.up)
    void this.#carry(to, from, 'down', carried.down)
  }

  async #carry(from: Socket, to: Socket, direction: Direction, carried: Buffer[]): Promise<void> {
    const { plan: any, byteByByte, firstUp, splitUp, keepOpen, holdsBack } = this.options
    const plan = any?.direction === direction ? any : undefined
    let left = plan?.after ?? Number.POSITIVE_INFINITY
    let first = true
    const cut = () => {
      if (!plan) return
      this.cuts++
      if (plan.inject) to.write(plan.inject)
      // What was written is with the kernel before a RST would take it away.
      if (plan.cut === 'rst') setTimeout(() => to.resetAndDestroy(), 20)
      else if (plan.cut === 'fin') to.end()
    }
    try {
      if (left === 0) cut()
      for await (const chunk of from.iterator({ destroyOnReturn: false })) {
        if (left === 0) continue
        let bytes = chunk as Buffer
        if (first && direction === 'up') {
          if (firstUp) bytes = firstUp(bytes)
          if (splitUp) {
            to.write(bytes.subarray(0, splitUp))
            carried.push(bytes.subarray(0, splitUp))
            await delay(2)
            bytes = bytes.subarray(splitUp)
          }
        }
        first = false
        carried.push(bytes)
        const part = bytes.subarray(0, left)
        left -= part.length
        if (byteByByte) await writeBytes(to, part)
        else if (!to.write(part) && holdsBack) await once(to, 'drain')
        if (left === 0) cut()
      }
      if (left > 0 && !keepOpen) to.end()
    } catch {
      // The other side has gone: 'close' tells the rest.
    }
  }
}

async function writeBytes(to: Socket, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at++) {
    to.write(bytes.subarray(at, at + 1))
    // A turn each, so that most are segments of their own.
    if (at % 8 === 0) await delay(1)
    else await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Where the TLS records of a byte stream end. */
export function recordEnds(bytes: Buffer): number[] {
  const ends: number[] = []
  for (let at = 0; at + 5 <= bytes.length; ) {
    at += 5 + bytes.readUInt16BE(at + 3)
    if (at <= bytes.length) ends.push(at)
  }
  return ends
}

/** Puts the handshake messages of a stream's first record into records of `size` bytes. */
export function fragment(bytes: Buffer, size: number): Buffer {
  const end = 5 + bytes.readUInt16BE(3)
  const message = bytes.subarray(5, end)
  const parts: Buffer[] = []
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size)
    const header = Buffer.from([22, 3, 1, part.length >> 8, part.length & 255])
    parts.push(header, part)
  }
  return Buffer.concat([...parts, bytes.subarray(end)])
}

/** Cuts before, inside and behind each record of a stream that ends before `limit`. */
export function boundaries(bytes: Buffer, limit: number): number[] {
  const cuts = new Set([0, 1, 4, 5, 6, 9])
  let from = 0
  for (const end of recordEnds(bytes)) {
    for (const at of [from + 3, from + 5, (from + end) >> 1, end - 1, end, end + 1]) cuts.add(at)
    from = end
  }
  return [...cuts].filter((at) => at < limit).sort((a, b) => a - b)
}
