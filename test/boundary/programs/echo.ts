/** An echo server on a thread of its own; tells its port. */

import { type AddressInfo, createServer } from 'node:net'
import { parentPort } from 'node:worker_threads'

const server = createServer((socket) => {
  socket.on('error', () => {})
  socket.setNoDelay(true)
  socket.pipe(socket)
})
server.listen(0, '127.0.0.1', () => {
  parentPort?.postMessage((server.address() as AddressInfo).port)
})
