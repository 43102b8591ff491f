/** A SOCKS proxy for tests: SOCKS5 with and without authentication, SOCKS4a. Splits its replies. */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface SocksAsked {
  version: number
  user: string
  password: string
  /** As the client asked, a name as it is. */
  host: string
  port: number
}

export class SocksServer {
  readonly asked: SocksAsked[] = []
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #auth: { user: string; password: string } | undefined
  #connections = 0

  private constructor(server: Server, auth: { user: string; password: string } | undefined) {
    this.#server = server
    this.#auth = auth
    server.on('connection', (socket) => {
      this.#track(socket)
      void this.#serve(socket, this.#connections++).catch(() => socket.destroy())
    })
  }

  /** @param auth what SOCKS5 clients must present; without it none is asked. */
  static async listen(auth?: { user: string; password: string }): Promise<SocksServer> {
    const server = createServer({ allowHalfOpen: true, noDelay: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new SocksServer(server, auth)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  async #serve(socket: Socket, number: number): Promise<void> {
    const reader = new Reader(socket)
    // Each connection splits its replies at another byte.
    const reply = (bytes: number[]) => split(socket, Buffer.from(bytes), number)
    const [version] = await reader.take(1)
    const asked = version === 5 ? await this.#socks5(reader, reply) : await socks4(reader)
    this.asked.push(asked)
    // Names are resolved here: whatever was asked is on this machine.
    const upstream = connect({ host: '127.0.0.1', port: asked.port, allowHalfOpen: true })
    this.#track(upstream)
    await once(upstream, 'connect')
    upstream.setNoDelay(true)
    await reply(version === 5 ? [5, 0, 0, 1, 127, 0, 0, 1, 0, 0] : [0, 0x5a, 0, 0, 0, 0, 0, 0])
    upstream.write(reader.detach())
    socket.pipe(upstream)
    upstream.pipe(socket)
  }

  async #socks5(reader: Reader, reply: (bytes: number[]) => Promise<void>): Promise<SocksAsked> {
    const [count] = await reader.take(1)
    const methods = await reader.take(count as number)
    const wanted = this.#auth ? 2 : 0
    if (!methods.includes(wanted)) throw new Error('no method')
    await reply([5, wanted])
    let user = ''
    let password = ''
    if (this.#auth) {
      await reader.take(1)
      user = await reader.counted()
      password = await reader.counted()
      const good = user === this.#auth.user && password === this.#auth.password
      await reply([1, good ? 0 : 1])
      if (!good) throw new Error('not authenticated')
    }
    const [, , , type] = await reader.take(4)
    let host: string
    if (type === 3) host = await reader.counted()
    else host = [...(await reader.take(type === 1 ? 4 : 16))].join('.')
    return { version: 5, user, password, host, port: (await reader.take(2)).readUInt16BE() }
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
  }
}

async function socks4(reader: Reader): Promise<SocksAsked> {
  await reader.take(1)
  const port = (await reader.take(2)).readUInt16BE()
  const ip = await reader.take(4)
  const user = await reader.terminated()
  const named = ip[0] === 0 && ip[1] === 0 && ip[2] === 0
  const host = named ? await reader.terminated() : [...ip].join('.')
  return { version: 4, user, password: '', host, port }
}

/** Reads a socket in portions of known size. */
class Reader {
  readonly #socket: Socket
  #bytes = Buffer.alloc(0)
  #wake: () => void = () => {}
  readonly #onData = (chunk: Buffer) => {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    this.#wake()
  }

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', this.#onData)
  }

  async take(length: number): Promise<Buffer> {
    while (this.#bytes.length < length) {
      await new Promise<void>((wake) => {
        this.#wake = wake
      })
    }
    const taken = this.#bytes.subarray(0, length)
    this.#bytes = this.#bytes.subarray(length)
    return taken
  }

  /** Text behind a byte that holds its length. */
  async counted(): Promise<string> {
    const [length] = await this.take(1)
    return (await this.take(length as number)).toString()
  }

  /** Text up to a zero byte. */
  async terminated(): Promise<string> {
    let text = ''
    for (;;) {
      const [byte] = await this.take(1)
      if (byte === 0) return text
      text += String.fromCharCode(byte as number)
    }
  }

  /** Stops reading; returns what is left. */
  detach(): Buffer {
    this.#socket.off('data', this.#onData)
    this.#socket.pause()
    return this.#bytes
  }
}

async function split(socket: Socket, bytes: Buffer, number: number): Promise<void> {
  const cut = number % bytes.length
  if (cut > 0) {
    socket.write(bytes.subarray(0, cut))
    await delay(1)
  }
  socket.write(bytes.subarray(cut))
}
