/** Small real servers for the examples. */

import type { Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { startServer } from '../support/net.js'

/** Listens on a free port until the test ends. */
export async function serve(t: TestContext, onSocket: (socket: Socket) => void): Promise<number> {
  const server = await startServer(onSocket)
  t.after(() => server.close())
  return server.port
}

/** Answers with its name and all that it got, once the client has sent its FIN. */
export function serveNamed(t: TestContext, name: string): Promise<number> {
  return serve(t, (socket) => {
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('end', () => socket.end(`${name}:${Buffer.concat(chunks).toString('latin1')}`))
  })
}

/** Says its name at once, and ends when the client does. */
export function serveGreeting(t: TestContext, name: string): Promise<number> {
  return serve(t, (socket) => {
    socket.write(name)
    socket.resume()
    socket.on('end', () => socket.end())
  })
}
