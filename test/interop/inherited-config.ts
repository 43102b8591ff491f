/** Configuration of the programs that inherited.test.ts starts. */

import type { Config } from '#sluice/config/types.js'

const { SLUICE_TEST_BIND: bind, SLUICE_TEST_SERVER: server } = process.env

export default {
  frontends: { web: { bind: bind as string, backend: 'app' } },
  backends: { app: { servers: { a: server as string } } },
} satisfies Config
