/**
 * The same client address goes to the same server, as long as that server is
 * there: a stick table remembers which one. Unlike a source hash the choice
 * survives servers that come and go, and the first one is made by load.
 *
 *   sluice run -c examples/sticky-sessions/sluice.config.ts
 */
import { defineConfig } from 'sluice'

export default defineConfig({
  tables: {
    affinity: { key: 'ip', size: 200_000, expire: '1h', store: { serverId: true } },
  },
  frontends: { web: { bind: '127.0.0.1:8080', backend: 'app' } },
  backends: {
    app: {
      balance: 'leastconn',
      stick: { table: 'affinity' },
      servers: {
        // Ids are what the table remembers: name them, and the order may change.
        a: { address: '127.0.0.1:9001', id: 1 },
        b: { address: '127.0.0.1:9002', id: 2 },
        // Takes its sticky clients still, and no new ones.
        old: { address: '127.0.0.1:9003', id: 3, state: 'drain' },
      },
    },
  },
})
