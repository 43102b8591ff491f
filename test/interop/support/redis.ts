/** A redis server that keeps nothing. */

import { join } from 'node:path'
import { Daemon } from './daemon.js'
import { needs } from './programs.js'

needs('redis-server')

export interface Redis extends Daemon {
  readonly socketPath: string
}

export async function startRedis(): Promise<Redis> {
  let socketPath = ''
  const daemon = await Daemon.start({
    program: 'redis-server',
    prepare({ directory, ports }) {
      const [port] = ports as [number]
      socketPath = join(directory, 'redis.sock')
      const options = {
        bind: '127.0.0.1',
        port: String(port),
        unixsocket: socketPath,
        dir: directory,
        save: '',
        appendonly: 'no',
        loglevel: 'warning',
      }
      const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
      return { args, ready: [{ port }, { path: socketPath }] }
    },
  })
  return Object.assign(daemon, { socketPath })
}
