import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readBindAddress, readServerAddress } from '#sluice/address/bind.js'
import { ConfigError } from '#sluice/base/errors.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { Config } from '#sluice/config/types.js'

type Loose = Record<string, unknown>

function issues(config: unknown): string[] {
  try {
    resolveConfig(config as Config, { env: {} })
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.issues.map(
      ({ path, message, suggestion }) =>
        `${path}: ${message}${suggestion ? ` [${suggestion}]` : ''}`,
    )
  }
}

const at = (top: Loose, frontend: Loose = {}, backend: Loose = {}, server: Loose = {}) => ({
  frontends: { web: { bind: '127.0.0.1:0', backend: 'app', ...frontend } },
  backends: { app: { servers: { a: { address: '127.0.0.1:1', ...server } }, ...backend } },
  ...top,
})

/** Words of others, where they stand, and what they are told. */
const words: [unknown, RegExp][] = [
  [at({ peers: {} }), /^peers: is unknown here: tables are not shared between processes yet\.$/],
  [at({ defaults: {} }), /^defaults: is unknown here: time-outs for all are in 'timeouts'/],
  [at({ upstream: {} }), /^upstream: is unknown here: 'upstream' is an entry of 'backends'\.$/],
  [at({ stream: {} }), /^stream: is unknown here: there is no such section/],
  [at({ listeners: [] }), /^listeners: is unknown here: 'listeners' are 'frontends'\.$/],
  [at({ maxconn: 5 }), /^maxconn: is unknown here: it is for 'global', 'frontends\.NAME', .* or /],
  [at({ tlsReload: '1s' }), /^tlsReload: is unknown here: it is for 'global'\.$/],
  [at({}, { default_backend: 'a' }), /default_backend: .* 'default_backend' is 'backend' of a/],
  [at({}, { acl: [] }), /^frontends\.web\.acl: is unknown here: rules are functions/],
  [at({}, { weight: 1 }), /weight: is unknown here: it is for 'backends\.NAME\.servers\.NAME'\.$/],
  [at({}, { proxy_pass: 'a' }), /'proxy_pass' is 'backend' of a frontend\.$/],
  [at({}, { mode: 'http' }), /mode: expected 'tcp', got 'http': HTTP is carried as it is/],
  [at({}, { mode: 'udp' }), /mode: expected 'tcp', got 'udp'\.$/],
  [at({}, {}, { check: true }), /^backends\.app\.check: .* there are no active checks/],
  [at({}, {}, { 'stick-table': {} }), /'stick-table' is an entry of 'tables'\.$/],
  [at({}, {}, {}, { check: true }), /servers\.a\.check: .* there are no active checks/],
  [at({}, {}, {}, { max_fails: 3 }), /'max_fails' is 'failures' in 'passive' of a backend\.$/],
  [at({}, {}, {}, { balance: 'first' }), /balance: is unknown here: it is for 'backends\.NAME'\.$/],
  [at({}, {}, {}, { 'send-proxy': true }), /send-proxy: is unknown\. \[sendProxy\]$/],
  [at({}, { tls: {} }), /^frontends\.web\.tls: is unknown here: it is for 'frontends\.NAME\.bind'/],
  [at({}, {}, {}, { ssl: true }), /^backends\.app\.servers\.a\.ssl: .* 'ssl' is 'tls'\.$/],
  [
    at({}, {}, {}, { port: 80 }),
    /'port' is of a bind; that of a server stands in its 'address'\.$/,
  ],
  [at({}, {}, {}, { host: 'a' }), /host: .* 'host' is 'address', with the port/],
  [
    at({}, { 'timeout client': '30s' }),
    /'timeout client' is 'timeouts', and 'deadline' of a rule\.$/,
  ],
  [at({}, { 'option tcplog': true }), /every option has a name of its own here\.$/],
  [at({ log: 'a.log' }), /^log: expected an object \{ level, file, format \}, got 'a\.log'\.$/],
  [
    at({}, {}, { servers: ['a:1'] }),
    /servers: expected an object \{ NAME: \.\.\. \}, got a list\.$/,
  ],
  [at({}, {}, { balance: 'ip_hash' }), /or 'source', got 'ip_hash': that is 'source'\.$/],
  [at({}, {}, { balance: 'hash' }), /got 'hash': \{ algorithm: 'hash', key: \(conn\) => \.\.\. \}/],
  [at({}, {}, { balance: 'round-robin' }), /got 'round-robin'\. \[roundrobin\]$/],
  [at({}, {}, { balance: 'constructor' }), /got 'constructor'\.$/],
  [at({}, {}, { stick: 'src' }), /stick: expected an object \{ table, \.\.\. \}, got 'src'\.$/],
  [at({}, {}, {}, { constructor: 1 }), /constructor: is unknown\.$/],
  [at({}, {}, {}, { nonsense: 1 }), /nonsense: is unknown\.$/],
  [at({}, { rules: { connection: [{ kind: 'deny' }] } }), /kind is 'deny'\. \[reject\]$/],
  [at({}, { rules: { session: [{ kind: 'use_backend' }] } }), /\[useBackend\]$/],
]

for (const [config, expected] of words) {
  test(`said of a word of others: ${expected.source}`, () => {
    const found = issues(config)
    assert.equal(found.length, 1, found.join('\n'))
    assert.match(found[0] as string, expected)
  })
}

/** Addresses, what is said of them, and what is suggested; for a bind and a server. */
const addresses: [string, RegExp, string | undefined, string | undefined][] = [
  ['http://127.0.0.1:80', /an address has no 'http:\/\/'\.$/, '127.0.0.1:80', '127.0.0.1:80'],
  ['http://127.0.0.1', /an address has no 'http:\/\/'\.$/, '127.0.0.1:80', '127.0.0.1:80'],
  [
    'HTTPS://10.0.0.1/',
    /no 'https:\/\/'; TLS is the option 'tls'\.$/,
    '10.0.0.1:443',
    '10.0.0.1:443',
  ],
  ['http://user:pw@10.0.0.1:8/x?y', /and no path/, '10.0.0.1:8', '10.0.0.1:8'],
  ['http://[::1]:80/', /no 'http:\/\/'/, '[::1]:80', '[::1]:80'],
  ['tcp://10.0.0.1:80', /no 'tcp:\/\/'/, '10.0.0.1:80', '10.0.0.1:80'],
  ['unix:///run/a.sock', /there is no \/\/\.$/, 'unix:/run/a.sock', 'unix:/run/a.sock'],
  ['/run/a.sock', /comes behind unix:\.$/, 'unix:/run/a.sock', 'unix:/run/a.sock'],
  ['./a.sock', /comes behind unix:\.$/, 'unix:./a.sock', 'unix:./a.sock'],
  ['ipv4@10.0.0.1:80', /an address has no 'ipv4@'\.$/, '10.0.0.1:80', '10.0.0.1:80'],
  ['udp:10.0.0.1:53', /only TCP and unix sockets are proxied\.$/, undefined, undefined],
  ['::1:80', /'::1:80' is an IPv6 address as a whole, without a port; /, '[::1]:80', '[::1]:80'],
  ['2001:db8::1:8080', /as a whole/, '[2001:db8::1]:8080', '[2001:db8::1]:8080'],
  [
    '1:2:3:4:5:6:7:8:80',
    /got \S+: with a port, brackets/,
    '[1:2:3:4:5:6:7:8]:80',
    '[1:2:3:4:5:6:7:8]:80',
  ],
  ['10.0.0.1:80 ssl', /options stand beside it/, undefined, undefined],
  ['10.0.0.1:80,10.0.0.1:81', /several addresses are a list/, undefined, undefined],
  ['10.0.0.1', /the port is missing\.$/, undefined, undefined],
]

for (const [text, expected, forBind, forServer] of addresses) {
  test(`an address as others write it: ${text}`, () => {
    for (const [read, suggested] of [
      [readBindAddress, forBind],
      [readServerAddress, forServer],
    ] as const) {
      const result = read(text)
      assert.ok('message' in result)
      assert.match(result.message, expected)
      assert.equal(result.suggestion, suggested)
      if (suggested !== undefined) assert.ok('value' in read(suggested), suggested)
    }
  })
}

test('a port alone: for binds it is an address, nearly', () => {
  const bind = readBindAddress('8080')
  assert.equal('message' in bind && bind.suggestion, ':8080')
  const server = readServerAddress('8080')
  assert.ok('message' in server && server.suggestion === undefined)
})
