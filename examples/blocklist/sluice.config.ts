/**
 * A list of networks in a file. It is read again whenever the file changes, with
 * no restart and no reload; a bad line keeps the old list and is logged.
 *
 *   sluice run -c examples/blocklist/sluice.config.ts
 *   echo 127.0.0.1 >> examples/blocklist/blocked.txt
 */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'sluice'
import { type Connection, cidrFile, reject } from 'sluice/policy'

const blocklist = cidrFile(fileURLToPath(new URL('blocked.txt', import.meta.url)), {
  interval: '500ms',
  onReload: ({ path, size }) => process.stderr.write(`${path}: ${size} blocks\n`),
  onBadFile: ({ message }) => process.stderr.write(`${message} The old list stays.\n`),
})

function blocked({ src }: Connection) {
  if (blocklist.has(src)) return reject()
}

export default defineConfig({
  frontends: {
    web: {
      bind: '127.0.0.1:8080',
      backend: 'app',
      rules: { connection: [blocked] },
    },
  },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
})
