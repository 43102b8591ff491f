/** 20 000 connections: descriptors, pipes, buffers and memory are back where they were. */

import assert from 'node:assert/strict'
import { type AddressInfo, connect, createServer } from 'node:net'
import { test } from 'node:test'
import { engineKinds } from '../support/engines.js'
import { ProxyProcess } from './process.js'

const CONNECTIONS = 20_000
const WARM_UP = 2_000
const AT_ONCE = 100
/** Growth of the heap that is no leak: 1 kB for each connection would be 18 MB. */
const SLACK = 6 * 1024 * 1024

/** Number `n` of a mix: most ask and read to the end, some reset, some leave at once. */
function one(port: number, n: number): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let received = 0
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      received += chunk.length
      if (n % 10 === 1) socket.resetAndDestroy()
    })
    socket.on('close', () => resolve(received))
    socket.on('connect', () => {
      if (n % 10 === 0) socket.resetAndDestroy()
      else if (n % 10 === 2) socket.destroy()
      else socket.write('ask')
    })
  })
}

async function churn(port: number, count: number): Promise<number> {
  let next = 0
  let answered = 0
  const worker = async () => {
    while (next < count) if ((await one(port, next++)) > 0) answered++
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return answered
}

for (const kind of engineKinds) {
  test(`${kind}: ${CONNECTIONS} connections leave nothing behind`, {
    timeout: 120_000,
  }, async () => {
    const upstream = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.end('answer'))
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    const proxy = await ProxyProcess.start(kind, (upstream.address() as AddressInfo).port)
    try {
      await churn(proxy.port, WARM_UP)
      const before = await proxy.until(
        ({ engine, connections }) => engine.connections + connections === 0,
        'it is idle',
      )
      const answered = await churn(proxy.port, CONNECTIONS - WARM_UP)
      const left = (CONNECTIONS - WARM_UP) / 10
      assert.equal(answered, CONNECTIONS - WARM_UP - 2 * left, 'every question was answered')
      const after = await proxy.until(
        ({ engine, connections, fds }) =>
          engine.connections + connections === 0 && fds <= before.fds,
        'everything is closed',
      )
      assert.deepEqual(after.engine, { connections: 0, pipesBorrowed: 0, buffersBorrowed: 0 })
      const growth = after.memory - before.memory
      assert.ok(growth < SLACK, `memory grew by ${growth} bytes`)
    } finally {
      upstream.close()
      await proxy.stop()
    }
  })
}
