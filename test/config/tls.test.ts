import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, test } from 'node:test'
import { parseJson } from '#sluice/config/json.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { ResolvedBind, ResolvedServer } from '#sluice/config/resolved.js'
import type { Config } from '#sluice/config/types.js'
import type { Connection } from '#sluice/policy/types.js'
import { issues } from '../support/issues.js'

type Loose = Record<string, unknown>

const folder = mkdtempSync(join(tmpdir(), 'sluice-config-tls-'))
after(() => rmSync(folder, { recursive: true }))
mkdirSync(join(folder, 'certs'))
mkdirSync(join(folder, 'more'))
writeFileSync(join(folder, 'file.pem'), '')

const bind = (options: Loose, frontend: Loose = {}) => ({
  frontends: {
    web: { bind: { address: '127.0.0.1:1', ...options }, backend: 'app', ...frontend },
  },
  backends: { app: { servers: { a: '127.0.0.1:1' } }, other: { servers: { a: '127.0.0.1:1' } } },
})
const server = (options: Loose) => ({
  frontends: { web: { bind: '127.0.0.1:1', backend: 'app' } },
  backends: { app: { servers: { a: { address: 'app.internal:1', ...options } } } },
})
const global = (options: Loose) => ({ ...bind({}), global: options })

const resolveBind = (options: Loose): ResolvedBind =>
  resolveConfig(bind(options) as Config).frontends[0]?.binds[0] as ResolvedBind
const resolveServer = (options: Loose): ResolvedServer =>
  resolveConfig(server(options) as unknown as Config).backends[0]?.servers[0] as ResolvedServer

const at = 'frontends.web.bind.tls'
const toServer = 'backends.app.servers.a.tls'
const cert = 'a.pem'
const suite = 'TLS_AES_128_GCM_SHA256'
const suite12 = 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'
const rule = () => undefined

/** One configuration and everything that is wrong with it. */
const cases: Record<string, [unknown, string[]]> = {
  'no certificate': [
    bind({ tls: {} }),
    [`${at}: has no certificate: 'cert' names a PEM file or a folder of them.`],
  ],
  'no set': [
    bind({ tls: [] }),
    [`${at}: expected at least one set of certificates, got an empty list.`],
  ],
  'a misspelt key': [bind({ tls: { crt: cert } }), [`${at}.crt: is unknown. [cert]`]],
  'a text instead of an object': [
    bind({ tls: cert }),
    [`${at}: expected { cert, ... } or a list of these, got 'a.pem'.`],
  ],
  'one set of two is wrong': [
    bind({ tls: [{ cert }, { cert, alpn: 'h2' }] }),
    [`${at}[1].alpn: expected a list, got 'h2'.`],
  ],
  'a key without a certificate': [
    bind({ tls: { key: 'a.key', certificates: [{ cert }] } }),
    [`${at}.key: is there without 'cert'.`],
  ],
  'a key for several files': [
    bind({ tls: { cert: [cert, 'b.pem'], key: 'a.key', ocsp: 'a.ocsp' } }),
    ['key', 'ocsp'].map(
      (option) =>
        `${at}.${option}: is for a 'cert' that is one file; name several as certificates: [{ cert, key, ocsp }].`,
    ),
  ],
  'a key for a folder': [
    bind({ tls: { cert: folder, key: 'a.key' } }),
    [
      `${at}.key: is for a 'cert' that is one file; name several as certificates: [{ cert, key, ocsp }].`,
    ],
  ],
  'a demand without authorities': [
    bind({ tls: { cert, clientCert: 'required' } }),
    [`${at}.clientCert: needs 'ca': the authorities that sign clients' certificates.`],
  ],
  'lists without authorities': [
    bind({ tls: { cert, crl: 'crl.pem' } }),
    [`${at}.crl: needs 'ca': the authorities whose lists these are.`],
  ],
  'empty lists': [
    bind({ tls: { cert, ca: [], crl: [] } }),
    ['ca', 'crl'].map(
      (option) => `${at}.${option}: expected at least one file, got an empty list.`,
    ),
  ],
  'versions the wrong way round': [
    bind({ tls: { cert, minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' } }),
    [`${at}.minVersion: is newer than maxVersion, which is 'TLSv1.2'.`],
  ],
  'an old version': [
    bind({ tls: { cert, minVersion: 'TLSv1.1' } }),
    [`${at}.minVersion: expected 'TLSv1.2' or 'TLSv1.3', got 'TLSv1.1'. [TLSv1.2]`],
  ],
  'a suite of TLS 1.3 without TLS 1.3': [
    bind({ tls: { cert, maxVersion: 'TLSv1.2', ciphers: [suite12, suite] } }),
    [`${at}.ciphers[1]: is for TLSv1.3, and maxVersion is 'TLSv1.2'.`],
  ],
  'a suite of TLS 1.2 without TLS 1.2': [
    bind({ tls: { cert, minVersion: 'TLSv1.3', ciphers: [suite12, suite] } }),
    [`${at}.ciphers[0]: is for TLSv1.2, and minVersion is 'TLSv1.3'.`],
  ],
  'suites that leave a version out': [
    bind({
      tls: [
        { cert, ciphers: [suite] },
        { cert, ciphers: [suite12] },
      ],
    }),
    [
      `${at}[0].ciphers: has no suite of TLSv1.2: add one, or say minVersion: 'TLSv1.3'.`,
      `${at}[1].ciphers: has no suite of TLSv1.3: add one, or say maxVersion: 'TLSv1.2'.`,
    ],
  ],
  'the same twice': [
    bind({
      tls: {
        cert,
        groups: ['x25519', 'x25519'],
        ciphers: [suite, suite12, suite],
        alpn: ['a', 'a'],
      },
    }),
    [
      `${at}.alpn[1]: 'a' is there twice.`,
      `${at}.ciphers[2]: '${suite}' is there twice.`,
      `${at}.groups[1]: 'x25519' is there twice.`,
    ],
  ],
  'an unknown group': [
    bind({ tls: { cert, groups: ['x25519', 'secp256k1'] } }),
    [
      `${at}.groups[1]: expected 'x25519', 'secp256r1', 'secp384r1' or 'X25519MLKEM768', got 'secp256k1'. [secp256r1]`,
    ],
  ],
  'a group by its name elsewhere': [
    bind({ tls: { cert, groups: ['P-256'] } }),
    [
      `${at}.groups[0]: expected 'x25519', 'secp256r1', 'secp384r1' or 'X25519MLKEM768', got 'P-256'. [secp256r1]`,
    ],
  ],
  'protocols that are none': [
    bind({ tls: { cert, alpn: ['', 'h2'] } }),
    [`${at}.alpn[0]: expected a protocol of 1 to 255 bytes, got ''.`],
  ],
  'tickets that are rotated all the time': [
    bind({ tls: { cert, tickets: { rotate: '1ms' } } }),
    [`${at}.tickets.rotate: expected at least '1s', got '1ms'.`],
  ],
  'TLS where every connection ends': [
    bind({ health: true, tls: { cert }, sniRoutes: { '*': 'app' } }),
    ['tls', 'sniRoutes'].map(
      (option) =>
        `frontends.web.bind.${option}: is for connections with payload, and 'health' ends them all.`,
    ),
  ],

  'no routes': [
    bind({ sniRoutes: {} }),
    ['frontends.web.bind.sniRoutes: expected at least one name.'],
  ],
  'routes to nowhere': [
    bind({ sniRoutes: { 'a.example': 'ap', 'b.example': 'other' } }),
    [`frontends.web.bind.sniRoutes["a.example"]: there is no backend named 'ap'. Did you mean`].map(
      (line) => line.replace(' Did you mean', ' [app]'),
    ),
  ],
  'names that are none': [
    bind({
      sniRoutes: { 'a b': 'app', '*.*.x': 'app', 'a.*': 'app', '': 'app', '10.0.0.1': 'app' },
    }),
    [
      ...['a b', '*.*.x', 'a.*', ''].map(
        (name) =>
          `frontends.web.bind.sniRoutes${/^[\w-]+$/.test(name) ? `.${name}` : `["${name}"]`}: expected a host name, '*.name' (one label) or '*' (the rest), got '${name}'.`,
      ),
      `frontends.web.bind.sniRoutes["10.0.0.1"]: expected a host name, since clients never ask for an address, got '10.0.0.1'.`,
    ],
  ],
  'a name twice': [
    bind({ sniRoutes: { 'a.example': 'app', 'A.Example.': 'app' } }),
    [
      'frontends.web.bind.sniRoutes["A.Example."]: is there twice: case and a final dot do not count.',
    ],
  ],

  'TLS to an applet': [
    {
      ...server({}),
      backends: {
        app: { servers: { a: { applet: { kind: 'applet', name: 'x', serve() {} }, tls: true } } },
      },
    },
    [`${toServer}: is for sockets, and this server is an applet.`],
  ],
  'a unix socket without a name': [
    server({ address: 'unix:/a.sock', tls: true }),
    [`${toServer}: needs a 'serverName' to verify: a unix socket has no name of its own.`],
  ],
  'a name that is none': [
    server({ tls: { serverName: 'a b' } }),
    [`${toServer}.serverName: expected a host name or an IP address, got 'a b'.`],
  ],
  'a key without a certificate, to a server': [
    server({ tls: { key: 'a.key' } }),
    [`${toServer}.key: is there without 'cert'.`],
  ],
  'a number instead of TLS': [
    server({ tls: 5 }),
    [`${toServer}: expected true, false or { verify, serverName, ... }, got 5.`],
  ],
  'another kind of verification': [
    server({ tls: { verify: 'requird' } }),
    [`${toServer}.verify: expected 'required' or 'none', got 'requird'. [required]`],
  ],
  'the SSL TLV in version 1': [
    server({ sendProxy: { version: 1, ssl: 'cn' } }),
    ['backends.app.servers.a.sendProxy.ssl: needs version 2.'],
  ],

  'rules without TLS': [
    bind({}, { rules: { clientHello: [rule], secured: [rule] } }),
    [
      "frontends.web.rules.clientHello: needs a bind with 'tls' or 'sniRoutes'.",
      "frontends.web.rules.secured: needs a bind with 'tls'.",
    ],
  ],
  'rules that need termination': [
    bind({ sniRoutes: { '*': 'app' } }, { rules: { clientHello: [rule], secured: [rule] } }),
    ["frontends.web.rules.secured: needs a bind with 'tls'."],
  ],
  'a rule to nowhere': [
    bind({ tls: { cert } }, { rules: { clientHello: [{ kind: 'useBackend', backend: 'ap' }] } }),
    ["frontends.web.rules.clientHello[0]: there is no backend named 'ap'. [app]"],
  ],
  'a misspelt stage': [
    bind({ tls: { cert } }, { rules: { clientHelo: [rule] } }),
    ['frontends.web.rules.clientHelo: is unknown. [clientHello]'],
  ],

  'a queue that waits longer than verdicts': [
    global({ verdictTimeout: '2s', tlsHandshakes: { queueTimeout: '4s' } }),
    ["global.tlsHandshakes.queueTimeout: is longer than global.verdictTimeout, which is '2s'."],
  ],
  'no handshakes at all': [
    global({ tlsHandshakes: { concurrent: 0 } }),
    ['global.tlsHandshakes.concurrent: expected a whole number from 1 to 2147483647, got 0.'],
  ],
}

for (const [name, [config, expected]] of Object.entries(cases)) {
  test(`wrong: ${name}`, () => assert.deepEqual(issues(config), expected))
}

test('wrong: a suite by its OpenSSL name gets the IANA name', () => {
  const ciphers = ['ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305', 'nonsense']
  const found = issues(bind({ tls: { cert, ciphers } }))
  assert.deepEqual(
    found.map((line) => [line.slice(0, line.indexOf(':')), /\[(\w+)\]$/.exec(line)?.[1]]),
    [
      [`${at}.ciphers[0]`, suite12],
      [`${at}.ciphers[1]`, 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256'],
      [`${at}.ciphers[2]`, undefined],
    ],
  )
  assert.match(found[2] ?? '', new RegExp(suite), 'those that are known are named')
})

test('a bind: defaults', () => {
  assert.deepEqual(resolveBind({ tls: { cert: 'certs/a.pem' } }).tls, [
    {
      path: at,
      alpn: [],
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      ciphers: [],
      groups: [],
      ca: [],
      crl: [],
      certificates: [
        { cert: resolve('certs/a.pem'), key: resolve('certs/a.pem'), ocsp: undefined },
      ],
      directories: [],
      strictSni: false,
      clientCert: 'none',
      tickets: true,
      ticketRotation: 6 * 3_600_000,
      sessionCache: 4096,
    },
  ])
  assert.equal(resolveBind({}).tls, undefined)
  assert.equal(resolveBind({}).sniRoutes, undefined)
})

test('a bind: everything that can be set', () => {
  const [first, second] =
    resolveBind({
      tls: [
        { cert: join(folder, 'file.pem'), key: 'a.key', ocsp: 'a.ocsp', tickets: false },
        {
          cert: [join(folder, 'certs'), join(folder, 'file.pem'), join(folder, 'more')],
          certificates: [{ cert: 'x.pem' }, { cert: 'y.pem', key: 'y.key', ocsp: 'y.ocsp' }],
          ca: 'ca.pem',
          crl: ['one.pem', 'two.pem'],
          clientCert: 'optional',
          alpn: ['h2', 'http/1.1'],
          minVersion: 'TLSv1.3',
          ciphers: [suite],
          groups: ['x25519', 'X25519MLKEM768'],
          strictSni: true,
          tickets: { rotate: '1h' },
          sessionCache: 0,
        },
      ],
    }).tls ?? []
  assert.deepEqual(
    [first?.path, first?.tickets, first?.certificates],
    [
      `${at}[0]`,
      false,
      [{ cert: join(folder, 'file.pem'), key: resolve('a.key'), ocsp: resolve('a.ocsp') }],
    ],
  )
  assert.deepEqual(second, {
    path: `${at}[1]`,
    alpn: ['h2', 'http/1.1'],
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: [suite],
    groups: ['x25519', 'X25519MLKEM768'],
    ca: [resolve('ca.pem')],
    crl: [resolve('one.pem'), resolve('two.pem')],
    certificates: [
      { cert: join(folder, 'file.pem'), key: join(folder, 'file.pem'), ocsp: undefined },
      { cert: resolve('x.pem'), key: resolve('x.pem'), ocsp: undefined },
      { cert: resolve('y.pem'), key: resolve('y.key'), ocsp: resolve('y.ocsp') },
    ],
    directories: [join(folder, 'certs'), join(folder, 'more')],
    strictSni: true,
    clientCert: 'optional',
    tickets: true,
    ticketRotation: 3_600_000,
    sessionCache: 0,
  })
})

test('routes by name: lower case, without a final dot', () => {
  const { sniRoutes } = resolveBind({
    sniRoutes: { 'Db.Example.': 'other', '*.x': 'app', '*': 'app' },
  })
  assert.deepEqual(
    [...(sniRoutes ?? [])],
    [
      ['db.example', 'other'],
      ['*.x', 'app'],
      ['*', 'app'],
    ],
  )
})

test('routes by name are a choice: no default backend is needed', () => {
  const config = bind({ sniRoutes: { 'a.example': 'app' } }, { backend: undefined })
  const { backend: _, ...web } = config.frontends.web
  assert.deepEqual(issues({ ...config, frontends: { web } }), [])
  const rules = { bind: { address: ':1', tls: { cert } }, rules: { clientHello: [rule] } }
  assert.deepEqual(issues({ ...config, frontends: { web: rules } }), [])
})

test('a range of ports shares its sets', () => {
  const binds = resolveConfig(bind({ address: ':1-3', tls: { cert } }) as Config).frontends[0]
    ?.binds
  assert.equal(binds?.length, 3)
  assert.equal(new Set(binds?.map(({ tls }) => tls?.[0])).size, 1)
})

test('a server: what is verified, and by which name', () => {
  const choose = (conn: Connection) => conn.tls?.serverName
  const of = (options: Loose) => {
    const { tls } = resolveServer(options)
    return tls && [tls.verify, tls.systemCa, tls.serverName, tls.chooseServerName]
  }
  assert.equal(of({}), undefined)
  assert.equal(of({ tls: false }), undefined)
  assert.deepEqual(of({ tls: true }), [true, true, 'app.internal', undefined])
  assert.deepEqual(of({ address: '10.0.0.1:1', tls: true }), [true, true, '10.0.0.1', undefined])
  assert.deepEqual(of({ address: '[::1]:1', tls: {} }), [true, true, '::1', undefined])
  assert.deepEqual(of({ tls: { serverName: 'X.Example.' } }), [true, true, 'x.example', undefined])
  assert.deepEqual(of({ tls: { ca: 'ca.pem' } }), [true, false, 'app.internal', undefined])
  assert.deepEqual(of({ tls: { verify: 'none' } }), [false, false, 'app.internal', undefined])
  const unix = { address: 'unix:/a.sock' }
  assert.deepEqual(of({ ...unix, tls: { verify: 'none' } }), [false, false, '', undefined])
  assert.deepEqual(of({ ...unix, tls: { serverName: 'x' } }), [true, true, 'x', undefined])
  assert.deepEqual(of({ ...unix, tls: { serverName: choose } }), [true, true, '', choose])
})

test('a server: everything else', () => {
  const { tls } = resolveServer({
    tls: { cert: 'c.pem', key: 'c.key', resumption: false, alpn: ['h2'], crl: 'crl.pem' },
  })
  assert.deepEqual(tls?.certificate, {
    cert: resolve('c.pem'),
    key: resolve('c.key'),
    ocsp: undefined,
  })
  assert.deepEqual([tls?.resumption, tls?.alpn, tls?.crl], [false, ['h2'], [resolve('crl.pem')]])
  assert.equal(resolveServer({ tls: true }).tls?.resumption, true)
})

test('the SSL TLV', () => {
  const sent = (sendProxy: unknown) => {
    const { sendProxy: resolved } = resolveServer({ sendProxy })
    return resolved && [resolved.ssl, resolved.sslCn]
  }
  assert.deepEqual(sent(2), [false, false])
  assert.deepEqual(sent({ version: 2, ssl: false }), [false, false])
  assert.deepEqual(sent({ version: 2, ssl: true }), [true, false])
  assert.deepEqual(sent({ version: 2, ssl: 'cn' }), [true, true])
})

test('bounds of handshakes and the interval of looks at files', () => {
  const of = (options: Loose) => {
    const { tlsHandshakes, tlsReload } = resolveConfig(global(options) as Config)
    return { ...tlsHandshakes, tlsReload }
  }
  assert.deepEqual(
    of({
      tlsHandshakes: { concurrent: 1, total: 2, queue: 0, queueTimeout: '1s' },
      tlsReload: '0s',
    }),
    { concurrent: 1, total: 2, queue: 0, queueTimeout: 1_000, tlsReload: 0 },
  )
  assert.equal(of({ verdictTimeout: '2s' }).queueTimeout, 2_000, 'never longer than verdicts')
})

test('rules around TLS, and constant verdicts of the ClientHello', () => {
  const clientHello = [
    rule,
    { kind: 'passthrough' },
    { kind: 'useCertificate', name: 'a' },
    { kind: 'clientCert', demand: 'required' },
  ]
  const config = bind({ tls: { cert, ca: 'ca.pem' } }, { rules: { clientHello, secured: [rule] } })
  const [frontend] = resolveConfig(config as Config).frontends
  assert.deepEqual(
    frontend?.rules.clientHello.map(({ rule }) => rule),
    clientHello,
  )
  assert.deepEqual(frontend?.rules.secured, [
    { rule, path: ['frontends', 'web', 'rules', 'secured', 0] },
  ])
})

test('JSON holds all of it but functions', () => {
  const config = parseJson(
    JSON.stringify({
      ...bind({
        tls: [{ cert, ca: 'ca.pem', clientCert: 'optional' }],
        sniRoutes: { 'db.example': 'other' },
      }),
      backends: {
        ...bind({}).backends,
        app: {
          servers: { a: { address: '127.0.0.1:1', tls: { verify: 'none', serverName: 'x' } } },
        },
      },
      global: { tlsReload: '1m', tlsHandshakes: { concurrent: 5 } },
    }),
  )
  const { frontends, backends, tlsReload } = resolveConfig(config as Config)
  assert.equal(frontends[0]?.binds[0]?.tls?.[0]?.clientCert, 'optional')
  assert.equal(frontends[0]?.binds[0]?.sniRoutes?.get('db.example'), 'other')
  assert.equal(backends.find(({ name }) => name === 'app')?.servers[0]?.tls?.serverName, 'x')
  assert.equal(tlsReload, 60_000)
})
