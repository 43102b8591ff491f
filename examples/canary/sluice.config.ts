/**
 * A canary release: a few percent of the clients get the new version, each
 * client always the same one. Staff get it first.
 *
 *   sluice run -c examples/canary/sluice.config.ts
 *   CANARY=25 sluice run -c examples/canary/sluice.config.ts
 */
import { defineConfig } from 'sluice'
import { canary } from 'sluice/plugins/canary'

const percent = Number(process.env.CANARY ?? 5)

export default defineConfig({
  frontends: {
    web: {
      bind: '127.0.0.1:8080',
      backend: 'stable',
      use: [canary({ backend: 'next', percent, always: ['10.20.0.0/16'] })],
    },
  },
  backends: {
    stable: { servers: { a: '127.0.0.1:9001', b: '127.0.0.1:9002' } },
    next: { servers: { c: '127.0.0.1:9003' } },
  },
})
