/**
 * node idle.mjs PORT HALF COUNT PAUSE: opens HALF connections, prints "half",
 * waits PAUSE ms, opens up to COUNT, prints "all", and holds them until it is
 * ended. Each has carried one request and its reply.
 */

import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const [port = 0, half = 0, count = 0, pause = 0] = process.argv.slice(2).map(Number)

/** Opening at once: fewer than a listen queue holds. */
const AT_ONCE = 50
const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

/** @type {import('node:net').Socket[]} */
const held = []

/** @returns {Promise<void>} */
function open() {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('a connection was closed')))
    socket.on('connect', () => socket.write(REQUEST))
    socket.once('data', (bytes) => {
      if (bytes.toString('latin1', 0, 12) === 'HTTP/1.1 200') resolve()
      else reject(new Error(`unexpected reply: ${bytes.toString('latin1', 0, 40)}`))
    })
    held.push(socket)
  })
}

/** @param {number} upTo */
async function fill(upTo) {
  const opener = async () => {
    while (held.length < upTo) await open()
  }
  await Promise.all(Array.from({ length: AT_ONCE }, opener))
}

await fill(half)
console.log('half')
await sleep(pause)
await fill(count)
console.log('all')
