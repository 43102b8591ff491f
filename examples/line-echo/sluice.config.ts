/**
 * An endpoint in TypeScript inside the proxy: an applet stands where a server
 * would, with rules, limits, queues and logs in front of it like any server.
 *
 *   sluice run -c examples/line-echo/sluice.config.ts
 *   printf 'hello\nstats\nquit\n' | nc 127.0.0.1 7007
 */
import { defineConfig } from 'sluice'
import { lineEcho } from './lines.js'

export const tryIt = "printf 'hello\\nstats\\nquit\\n' | nc 127.0.0.1 7007"

export default defineConfig({
  frontends: { lines: { bind: '127.0.0.1:7007', backend: 'lines' } },
  backends: { lines: { servers: { lines: { applet: lineEcho(), maxconn: 100 } } } },
  timeouts: { client: '5m' },
})
