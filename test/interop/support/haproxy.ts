/** HAProxy with a configuration of the test's. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Daemon } from './daemon.js'
import { needs } from './programs.js'

needs('haproxy')

/**
 * @param ports how many ports the configuration needs
 * @param sections frontends and backends on these ports of 127.0.0.1
 */
export function startHaproxy(
  ports: number,
  sections: (ports: readonly number[]) => string,
): Promise<Daemon> {
  return Daemon.start({
    program: 'haproxy',
    ports,
    prepare({ directory, ports }) {
      const config = join(directory, 'haproxy.cfg')
      const common = `
global
  maxconn 500
defaults
  timeout connect 10s
  timeout client 1m
  timeout server 1m
`
      writeFileSync(config, `${common}${sections(ports)}\n`)
      return { args: ['-db', '-f', config], ready: ports.map((port) => ({ port })) }
    },
  })
}
