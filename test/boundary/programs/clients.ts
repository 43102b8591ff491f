/** Clients on a thread of their own: they work while the thread of the policy is blocked. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { parentPort } from 'node:worker_threads'

export type ClientTask =
  /** Connects and resets `count` times, 50 at once; the result is how many connected. */
  | { kind: 'churn'; port: number; count: number }
  /** One after the other: connects, sends a byte, waits for its echo, ends; the result is `count`. */
  | { kind: 'sequence'; port: number; count: number }
  /** Holds `count` connections that have sent `bytes` bytes each; the result is `count`. */
  | { kind: 'hold'; port: number; count: number; bytes: number }
  /** Sends `bytes` bytes on each held connection; the result is their number. */
  | { kind: 'send'; bytes: number }
  /** Closes what `hold` opened; the result is how many bytes came back. */
  | { kind: 'release' }
  /** Sends a byte and waits for its echo, for `ms`; the result is the number of round trips. */
  | { kind: 'pingpong'; port: number; ms: number }

const held: { socket: Socket; received: number }[] = []

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

async function churn(port: number, count: number): Promise<number> {
  let left = count
  let connected = 0
  const one = async () => {
    while (left-- > 0) {
      const socket = await dial(port).catch(() => undefined)
      if (!socket) continue
      connected++
      socket.resetAndDestroy()
    }
  }
  await Promise.all(Array.from({ length: 50 }, one))
  return connected
}

async function sequence(port: number, count: number): Promise<number> {
  for (let i = 0; i < count; i++) {
    const socket = await dial(port)
    socket.write('.')
    await once(socket, 'data')
    socket.destroy()
  }
  return count
}

async function hold(port: number, count: number, bytes: number): Promise<number> {
  const payload = Buffer.alloc(bytes, 'x')
  for (let i = 0; i < count; i++) {
    const client = { socket: await dial(port), received: 0 }
    client.socket.on('data', (chunk) => {
      client.received += chunk.length
    })
    if (bytes > 0) client.socket.write(payload)
    held.push(client)
  }
  return count
}

function send(bytes: number): number {
  const payload = Buffer.alloc(bytes, 'x')
  for (const { socket } of held) socket.write(payload)
  return held.length
}

function release(): number {
  let received = 0
  for (const client of held.splice(0)) {
    received += client.received
    client.socket.destroy()
  }
  return received
}

async function pingpong(port: number, ms: number): Promise<number> {
  const socket = await dial(port)
  const end = performance.now() + ms
  let trips = 0
  while (performance.now() < end) {
    socket.write('.')
    await once(socket, 'data')
    trips++
  }
  socket.destroy()
  return trips
}

function perform(task: ClientTask): number | Promise<number> {
  switch (task.kind) {
    case 'churn':
      return churn(task.port, task.count)
    case 'sequence':
      return sequence(task.port, task.count)
    case 'hold':
      return hold(task.port, task.count, task.bytes)
    case 'send':
      return send(task.bytes)
    case 'release':
      return release()
    case 'pingpong':
      return pingpong(task.port, task.ms)
  }
}

parentPort?.on('message', (task: ClientTask) => {
  void Promise.resolve(perform(task)).then((result) => parentPort?.postMessage(result))
})
parentPort?.postMessage('ready')
