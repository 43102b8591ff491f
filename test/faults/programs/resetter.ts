/** Clients on a thread of their own that connect, send and reset, while another thread waits. */

import { once } from 'node:events'
import { connect } from 'node:net'
import { workerData } from 'node:worker_threads'

export interface ResetterData {
  port: number
  count: number
  /** Its first word counts the clients that have reset. */
  progress: Int32Array
}

const { port, count, progress } = workerData as ResetterData
for (let i = 0; i < count; i++) {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write('request')
  socket.resetAndDestroy()
  await once(socket, 'close')
  Atomics.add(progress, 0, 1)
  Atomics.notify(progress, 0)
}
