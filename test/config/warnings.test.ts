import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { Config } from '#sluice/config/types.js'
import { createProxy } from '#sluice/index.js'
import { defineApplet } from '#sluice/policy/applet.js'
import { accept, reject, track, useBackend } from '#sluice/policy.js'

type Loose = Record<string, unknown>

function written(frontend: Loose = {}, backend: Loose = {}, rest: Loose = {}): Config {
  return {
    frontends: { web: { bind: '127.0.0.1:0', backend: 'app', ...frontend } },
    backends: { app: { servers: { a: '127.0.0.1:9001' }, ...backend } },
    ...rest,
  } as unknown as Config
}

const warnings = (config: Config): string[] =>
  resolveConfig(config, { env: {} }).warnings.map(({ path, message }) => `${path}: ${message}`)

const spare = { spare: { servers: { a: '127.0.0.1:9002' } } }
const app = { app: { servers: { a: '127.0.0.1:9001' } } }
const rule = () => undefined
const table = { ips: { key: 'ip', size: 10 } }

/** A configuration and the beginnings of its warnings. */
const cases: Record<string, [Config, string[]]> = {
  nothing: [written(), []],
  'a backend that nobody uses': [
    written({}, {}, { backends: { ...app, ...spare } }),
    ['backends.spare: is not used: no frontend, rule or sniRoutes names it.'],
  ],
  'a backend that a constant uses': [
    written({ rules: { session: [useBackend('spare')] } }, {}, { backends: { ...app, ...spare } }),
    [],
  ],
  'a backend that sniRoutes uses': [
    written(
      { bind: { address: '127.0.0.1:0', sniRoutes: { 'a.example': 'spare' } } },
      {},
      { backends: { ...app, ...spare } },
    ),
    [],
  ],
  'a backend that a function may use': [
    written({ rules: { session: [rule] } }, {}, { backends: { ...app, ...spare } }),
    [],
  ],
  'a backend that no function made by track can use': [
    written(
      { rules: { session: [track('sc0', (conn) => conn.src, 'ips')] } },
      {},
      { tables: table, backends: { ...app, ...spare } },
    ),
    ['backends.spare: is not used'],
  ],
  'a table that nobody uses': [
    written({}, {}, { tables: table }),
    ["tables.ips: is not used: no rule tracks in it, and no 'stick' names it."],
  ],
  'a table that stick uses': [
    written(
      {},
      { stick: { table: 'ids' } },
      { tables: { ids: { key: 'ip', size: 10, store: { serverId: true } } } },
    ),
    [],
  ],
  'applets by name, used and not': [
    written(
      {},
      { servers: { a: 'applet:used', b: { address: 'applet:used' } } },
      { applets: { used: defineApplet('a', () => {}), left: defineApplet('b', () => {}) } },
    ),
    ["applets.left: is not used: no server has the address 'applet:left'."],
  ],
  'rules behind one that always ends': [
    written({ rules: { connection: [rule, accept(), rule] } }),
    [
      "frontends.web.rules.connection[2]: never runs: the rule before it is 'accept' for every connection.",
    ],
  ],
  'lists behind one that always refuses': [
    written({ rules: { connection: [reject()], handshake: [rule] } }),
    [
      "frontends.web.rules.handshake: never run: the first of the connection rules is 'reject' for every connection.",
    ],
  ],
  'a refusal behind a rule that may accept': [
    written({ rules: { connection: [rule, reject()], handshake: [rule] } }),
    [],
  ],
  'rules of one name': [
    written({
      rules: {
        session: [
          { name: 'a', run: rule },
          { name: 'b', run: rule },
          { name: 'a', run: rule },
        ],
      },
    }),
    ["frontends.web.rules.session[2].name: 'a' is the name of [0] too"],
  ],
  'open to nothing': [
    written({ backend: undefined, onError: 'open', rules: { session: [rule] } }),
    ["frontends.web.onError: 'open' goes on to the default backend, and this frontend"],
  ],
  'backups only': [
    written({}, { servers: { a: { address: '127.0.0.1:1', backup: true } } }),
    ['backends.app.servers: every server is a backup'],
  ],
  'weights of 0 only': [
    written({}, { servers: { a: { address: '127.0.0.1:1', weight: 0 } } }),
    ['backends.app.servers: every server has weight 0'],
  ],
  'a way back to the own bind that a rule may leave': [
    written({ bind: ':9001', rules: { session: [rule] } }),
    ["backends.app.servers.a: is a bind of frontend 'web' itself"],
  ],
  'maintenance only': [
    written({}, { servers: { a: { address: '127.0.0.1:1', state: 'maint' } } }),
    ['backends.app.servers: every server is in maintenance'],
  ],
  'a server twice': [
    written({}, { servers: { a: '127.0.0.1:1', b: { address: '127.0.0.1:1' } } }),
    ["backends.app.servers.b: is the same address as server 'a'"],
  ],
  'client time-out below connect': [
    written({ timeouts: { client: '1s' } }, { timeouts: { connect: '30s' } }),
    ["frontends.web.timeouts.client: is '1s', and connecting to a server of 'app' may take '30s'"],
  ],
  'server time-out below connect, for all': [
    written({}, {}, { timeouts: { server: '1s', connect: '2s' } }),
    ["timeouts.server: is '1s', and connecting to a server of 'app' may take '2s'"],
  ],
  'time-outs that are off': [
    written({}, {}, { timeouts: { client: '0s', server: '0s' } }),
    ['timeouts.client: is off: a client', 'timeouts.server: is off: a server'],
  ],
  'a retry delay beyond connect': [
    written({}, { retryDelay: '10s', timeouts: { connect: '2s' } }),
    ["backends.app.retryDelay: is longer than the connect time-out, which is '2s'"],
  ],
}

for (const [name, [config, expected]] of Object.entries(cases)) {
  test(`${name}: ${expected.length === 0 ? 'no warning' : 'warned of'}`, () => {
    const found = warnings(config)
    assert.equal(found.length, expected.length, found.join('\n'))
    for (const [i, line] of expected.entries()) {
      assert.ok(found[i]?.startsWith(line), `${found[i]}\nshould begin with\n${line}`)
      assert.match(found[i] as string, /\.$/)
    }
  })
}

test('warnings are logged at the start, with their path', async () => {
  const lines: { level?: number; path?: string; msg?: string }[] = []
  const logger = pino({ level: 'warn' }, { write: (text: string) => lines.push(JSON.parse(text)) })
  const config = written({}, {}, { tables: table })
  await using proxy = createProxy(config, { engine: 'js', logger })
  assert.equal(lines.length, 0, 'not before')
  await proxy.start()
  const line = lines.find(({ path }) => path === 'tables.ips')
  assert.equal(line?.level, 40)
  assert.match(String(line?.msg), /^tables\.ips: is not used/)
})
