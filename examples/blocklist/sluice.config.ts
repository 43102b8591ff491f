/**
 * A list of networks in a file. It is read again whenever the file changes, with
 * no restart and no reload; a bad line keeps the old list and is logged.
 *
 *   sluice run -c examples/blocklist/sluice.config.ts
 *   echo 127.0.0.1 >> examples/blocklist/blocked.txt
 */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'sluice'
import { blocklist } from 'sluice/plugins/blocklist'

const file = fileURLToPath(new URL('blocked.txt', import.meta.url))

export default defineConfig({
  frontends: {
    web: {
      bind: '127.0.0.1:8080',
      backend: 'app',
      use: [blocklist({ file, interval: '500ms' })],
    },
  },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
})
