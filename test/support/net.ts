/** Real sockets for end-to-end tests: servers and clients on 127.0.0.1. */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export interface TestServer {
  port: number
  server: Server
  sockets: Set<Socket>
  close(): Promise<void>
}

/** A server on a free port; `onSocket` gets every connection. */
export async function startServer(onSocket: (socket: Socket) => void): Promise<TestServer> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    onSocket(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    server,
    sockets,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      if (server.listening) await once(server, 'close')
    },
  }
}

export function startEcho(): Promise<TestServer> {
  return startServer((socket) => socket.pipe(socket))
}

/** A port that nobody listens on, for the time of a test. */
export async function closedPort(): Promise<number> {
  const { port, close } = await startServer(() => {})
  await close()
  return port
}

export interface Dialogue {
  text: string
  /** Code of the socket error, such as 'ECONNRESET'. */
  error: string | undefined
}

/** Connects, sends `content`, shuts the write side unless told not to, and reads until the end. */
export async function talk(
  port: number,
  content: string | Uint8Array = '',
  options: { fin?: boolean } = {},
): Promise<Dialogue> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const chunks: Buffer[] = []
  let error: string | undefined
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.on('error', (e: NodeJS.ErrnoException) => {
    error = e.code
  })
  socket.on('end', () => socket.end())
  if (content.length > 0) socket.write(content)
  if (options.fin !== false) socket.end()
  await new Promise<void>((resolve) => socket.on('close', () => resolve()))
  return { text: Buffer.concat(chunks).toString(), error }
}

/** Connects and waits for the first bytes or the connection itself. */
export async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** Resolves with the next chunk as text. */
export async function nextText(socket: Socket): Promise<string> {
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  return chunk.toString()
}
