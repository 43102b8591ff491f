/** Names of a configuration: the compiler knows those that it has. */

import {
  type BackendConfig,
  type BackendView,
  type Config,
  createProxy,
  defineConfig,
  type FrontendConfig,
  type ServerControl,
  type SluiceProxy,
  type TableView,
} from '#sluice/index.js'
import { createTestProxy } from '#sluice/testing/index.js'
import { equal } from './equal.js'

const bind = '127.0.0.1:0'

// --- what is kept ---

const kept = defineConfig({
  tables: { seen: { key: 'ip', size: 1000, store: { connRate: '10s', serverId: true } } },
  frontends: {
    web: { bind: { address: bind, sniRoutes: { 'a.example': 'api', '*': 'app' } }, backend: 'app' },
    raw: { bind, backend: 'api' },
  },
  backends: {
    app: {
      servers: { a: '127.0.0.1:1', b: { address: '127.0.0.1:2', weight: 2 } },
      stick: { table: 'seen', key: (conn) => conn.src },
    },
    api: { servers: { c: '127.0.0.1:3' }, balance: { algorithm: 'hash', key: (conn) => conn.src } },
  },
})
equal<keyof typeof kept.frontends, 'web' | 'raw'>(true)
equal<keyof typeof kept.backends, 'app' | 'api'>(true)
equal<keyof typeof kept.backends.app.servers, 'a' | 'b'>(true)
equal<keyof NonNullable<typeof kept.tables>, 'seen'>(true)
// @ts-expect-error: no such backend
kept.backends.typo
// @ts-expect-error: no such server
kept.backends.app.servers.typo

// A configuration with names is one without, and its parts are too.
export const plain: Config = kept
export const part: BackendConfig = kept.backends.app
export const frontend: FrontendConfig = kept.frontends.web
equal<keyof typeof plain.backends, string>(true)

// --- what is not there ---

defineConfig({
  // @ts-expect-error: a backend that is not there
  frontends: { web: { bind, backend: 'typo' } },
  backends: { app: { servers: { a: '127.0.0.1:1' } } },
})
defineConfig({
  // @ts-expect-error: a backend that is not there, in a route
  frontends: { web: { bind: { address: bind, sniRoutes: { '*': 'typo' } } } },
  backends: { app: { servers: { a: '127.0.0.1:1' } } },
})
defineConfig({
  tables: { seen: { key: 'ip', size: 1 } },
  frontends: { web: { bind } },
  // @ts-expect-error: a table that is not there
  backends: { app: { servers: { a: '127.0.0.1:1' }, stick: { table: 'typo' } } },
})
defineConfig({
  frontends: { web: { bind } },
  // @ts-expect-error: there is no table at all
  backends: { app: { servers: { a: '127.0.0.1:1' }, stick: { table: 'seen' } } },
})

// --- options, still ---

// @ts-expect-error: no such option
defineConfig({ frontends: { web: { bind, bakcend: 'app' } }, backends: { app: { servers: {} } } })
// @ts-expect-error: `bind` is required
defineConfig({ frontends: { web: { backend: 'app' } }, backends: { app: { servers: {} } } })
// @ts-expect-error: a time has a unit
defineConfig({ frontends: { web: { bind, timeouts: { client: 30 } } }, backends: {} })

// --- backends whose names are known to nobody ---

const many: Record<string, BackendConfig> = {}
export const unknown: Config = defineConfig({
  frontends: { web: { bind, backend: process.argv[2] } },
  backends: many,
})

// --- a function, a promise ---

const later = defineConfig(() => ({
  frontends: { web: { bind, backend: 'app', rules: { session: [(conn) => conn.log.info('hi')] } } },
  backends: { app: { servers: { a: '127.0.0.1:1' } } },
}))
export const made: Config | Promise<Config> = later()

const loaded = defineConfig(async () => ({
  frontends: { web: { bind, backend: 'app' } },
  backends: { app: { servers: { a: '127.0.0.1:1' } } },
}))
export const awaited: Config = await loaded()

async function load(): Promise<Config> {
  return { frontends: {}, backends: {} }
}
const promised = defineConfig(load())
equal<typeof promised, Promise<Config>>(true)
export const settled: Config = await promised

// @ts-expect-error: a backend that is not there
defineConfig(() => ({
  frontends: { web: { bind, backend: 'typo' } },
  backends: { app: { servers: { a: '127.0.0.1:1' } } },
}))

// --- names that are strings: the compiler knows nothing, `sluice check` does ---

const name: string = process.argv[2] ?? 'app'
const written = { bind, backend: 'app' }
const typed: FrontendConfig = { bind, backend: 'app' }
const servers: BackendConfig = { servers: { a: '127.0.0.1:1' }, stick: { table: 'seen' } }
export const open: Config[] = [
  defineConfig({ frontends: { web: { bind, backend: name } }, backends: { app: { servers: {} } } }),
  defineConfig({ frontends: { web: written }, backends: { app: { servers: {} } } }),
  defineConfig({ frontends: { web: typed }, backends: { app: { servers: {} } } }),
  defineConfig({ frontends: { web: { bind, backend: 'app' } }, backends: { app: servers } }),
]

// --- a proxy ---

const proxy = createProxy({
  tables: { seen: { key: 'ip', size: 1 } },
  frontends: { web: { bind } },
  backends: { app: { servers: { a: '127.0.0.1:1' } }, api: { servers: { b: '127.0.0.1:2' } } },
})
equal<typeof proxy.tables.seen, TableView>(true)
equal<typeof proxy.backends.app.servers.a, ServerControl>(true)
// @ts-expect-error: no such table
proxy.tables.typo
// @ts-expect-error: no such backend
proxy.backends.typo
// @ts-expect-error: that server is in the other backend
proxy.backends.app.servers.b
export const any: SluiceProxy = proxy
equal<typeof any.tables.typo, TableView | undefined>(true)
equal<typeof any.backends.typo, BackendView | undefined>(true)

// Of a configuration without names, each may be there.
const unnamed = createProxy(open[0] as Config)
equal<typeof unnamed, SluiceProxy>(true)
// @ts-expect-error: perhaps there is no such server
unnamed.backends.app?.servers.a.weight

// --- a test proxy ---

const tested = await createTestProxy({
  tables: { seen: { key: 'ip', size: 1 } },
  frontends: { web: { bind } },
  backends: { app: { servers: { a: '127.0.0.1:1' } }, api: { servers: { b: '127.0.0.1:2' } } },
})
await tested.connect({ frontend: 'web', servers: { 'app/a': 'refuse', 'api/b': 'accept' } })
// @ts-expect-error: no such frontend
await tested.connect({ frontend: 'typo' })
// @ts-expect-error: that server is in the other backend
tested.setServer('app/b', 'refuse')

// --- what runs beside the rules ---

defineConfig({
  tables: { seen: { key: 'ip', size: 1000 } },
  frontends: { web: { bind, backend: 'app' } },
  backends: { app: { servers: { a: '127.0.0.1:1' } } },
  async started(proxy) {
    equal<typeof proxy.tables.seen, TableView>(true)
    equal<typeof proxy.backends.app.servers.a, ServerControl>(true)
    // @ts-expect-error: no such table
    proxy.tables.typo
    // @ts-expect-error: no such server
    proxy.backends.app.servers.typo
    for (const session of proxy.sessions()) session.kill()
  },
})
