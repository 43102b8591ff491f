import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '#sluice/base/errors.js'
import { parseJson } from '#sluice/config/json.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { Config } from '#sluice/config/types.js'
import {
  accept,
  clientCert,
  consume,
  expectProxy,
  more,
  passthrough,
  prepend,
  priority,
  reject,
  reply,
  send,
  setVar,
  startTls,
  tarpit,
  track,
  useBackend,
  useCertificate,
  useServer,
} from '#sluice/policy.js'

type Loose = Record<string, unknown>

const tls = { cert: '/nowhere/a.pem', ca: '/nowhere/ca.pem' }
type List = 'connection' | 'session' | 'handshake' | 'clientHello' | 'secured'
const names: List[] = ['connection', 'session', 'handshake', 'clientHello', 'secured']

const bindFor = (list: List): Loose => (list === 'handshake' ? { tls, startTls: 'rule' } : { tls })

/** A configuration where every list may stand, with `rules` in `list`. */
function config(list: List, rules: unknown, bind: Loose = bindFor(list)): Loose {
  return {
    tables: { ips: { key: 'ip', size: 10 }, numbers: { key: 'integer', size: 10 } },
    frontends: {
      web: {
        bind: { address: '127.0.0.1:0', ...bind },
        backend: 'app',
        rules: { [list]: rules },
      },
    },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
  }
}

function issues(written: Loose): string[] {
  try {
    resolveConfig(written as unknown as Config, { env: {} })
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.issues.map(
      ({ path, message, suggestion }) =>
        `${path.replace('frontends.web.', '')}: ${message}${suggestion ? ` [${suggestion}]` : ''}`,
    )
  }
  return []
}

const at = (list: List) => `rules.${list}[0]`

/** Every constructor's verdict with the lists that it is for. */
const verdicts: [string, unknown, List[]][] = [
  ['accept', accept(), names],
  ['reject', reject(), names],
  ['reset', reject({ reset: true }), names],
  ['tarpit', tarpit('5s'), names],
  ['reply', reply('hi'), names],
  ['track', track('sc0', '10.0.0.1', 'ips'), names],
  ['setVar', setVar('a', 1), names],
  ['useBackend', useBackend('app'), names],
  ['useServer', useServer('app', 'a'), names],
  ['priority', priority(-1), names],
  ['expectProxy', expectProxy(), ['connection']],
  ['more', more(), ['handshake']],
  ['consume', consume(4), ['handshake']],
  ['send', send('hi'), ['handshake']],
  ['prepend', prepend('hi'), ['handshake']],
  ['startTls', startTls(), ['handshake']],
  ['useCertificate', useCertificate('a.example'), ['clientHello']],
  ['clientCert', clientCert('required'), ['clientHello']],
  ['passthrough', passthrough(), ['clientHello']],
]

for (const [name, verdict, own] of verdicts) {
  test(`a constant ${name} is right in ${own.join(', ')} and nowhere else`, () => {
    for (const list of names) {
      const found = issues(config(list, [verdict]))
      if (own.includes(list)) assert.deepEqual(found, [], list)
      else {
        assert.equal(found.length, 1, list)
        assert.match(found[0] as string, /is for .*rules only, and these are/)
        assert.ok(found[0]?.startsWith(`${at(list)}: `), found[0])
      }
    }
  })
}

/** What is wrong, in TypeScript and, where JSON can hold it, in JSON too. */
const broken: Record<string, [List, unknown, string[]]> = {
  'a reply of a number': [
    'connection',
    { kind: 'reply', content: 5 },
    [
      ".content: expected text or bytes, at most 1048576 (a string, a Uint8Array or { base64 }), as reply('text') makes it, got 5.",
    ],
  ],
  'a reply of nothing': [
    'session',
    { kind: 'reply' },
    [
      ".content: expected text or bytes, at most 1048576 (a string, a Uint8Array or { base64 }), as reply('text') makes it, got nothing.",
    ],
  ],
  'a reply that no engine takes': [
    'connection',
    { kind: 'reply', content: 'x'.repeat(2 ** 20 + 1) },
    ['.content: expected at most 1048576 bytes, got 1048577.'],
  ],
  'a reply of bytes': ['connection', { kind: 'reply', content: { base64: 'aGk=' } }, []],
  'a reply of bytes that are none': [
    'connection',
    { kind: 'reply', content: { base64: 'a' } },
    [".content.base64: expected bytes in Base64, got 'a'."],
  ],
  'a tarpit without a unit': [
    'connection',
    { kind: 'tarpit', duration: 5000 },
    [
      ".duration: expected a duration such as '250ms', '30s', '5m', '1h' or '1d', got 5000 without a unit.",
    ],
  ],
  'a tarpit with a unit of others': [
    'connection',
    { kind: 'tarpit', duration: '5 sec' },
    [
      ".duration: expected a duration such as '250ms', '30s', '5m', '1h' or '1d', got '5 sec'. [5s]",
    ],
  ],
  'a tarpit of no time': [
    'connection',
    { kind: 'tarpit' },
    [".duration: expected a duration such as '5s', as tarpit('5s') makes it, got nothing."],
  ],
  'another way to reject': [
    'connection',
    { kind: 'reject', reset: 'yes' },
    [".reset: expected true or false, as reject() makes it, got 'yes'."],
  ],
  'bytes of a number that is none': [
    'handshake',
    { kind: 'consume', bytes: -1 },
    ['.bytes: expected a whole number from 0 on, as consume(4) makes it, got -1.'],
  ],
  'more than is sent in a handshake': [
    'handshake',
    { kind: 'send', content: 'x'.repeat(16_385), consume: 'all' },
    [
      '.content: expected at most 16384 bytes, got 16385.',
      ".consume: expected a whole number from 0 on, as send('text') makes it, got 'all'.",
    ],
  ],
  'bytes to prepend': ['handshake', { kind: 'prepend', content: { base64: 'aGk=' } }, []],
  'a plain reject': ['connection', { kind: 'reject' }, []],
  'a reject by RST': ['connection', { kind: 'reject', reset: true }, []],
  'a fourth counter': [
    'connection',
    { kind: 'track', counter: 'sc3', key: '10.0.0.1', table: 'ips' },
    [
      ".counter: expected 'sc0', 'sc1' or 'sc2', as track('sc0', key, 'table') makes it, got 'sc3'. [sc0]",
    ],
  ],
  'a counter by its number': [
    'connection',
    { kind: 'track', counter: 0, key: '10.0.0.1', table: 'ips' },
    [".counter: expected 'sc0', 'sc1' or 'sc2', as track('sc0', key, 'table') makes it, got 0."],
  ],
  'a table that is not there': [
    'session',
    { kind: 'track', counter: 'sc0', key: '10.0.0.1', table: 'ip' },
    [": there is no table named 'ip'. [ips]"],
  ],
  'no table': [
    'connection',
    { kind: 'track', counter: 'sc0', key: '10.0.0.1' },
    [".table: expected a string, as track('sc0', key, 'table') makes it, got nothing."],
  ],
  'a key that does not fit its table': [
    'connection',
    { kind: 'track', counter: 'sc0', key: 'everybody', table: 'ips' },
    [".key: expected a key for the table 'ips', whose keys are of type 'ip', got 'everybody'."],
  ],
  'a number below an integer key': [
    'connection',
    { kind: 'track', counter: 'sc0', key: -1, table: 'numbers' },
    [".key: expected a key for the table 'numbers', whose keys are of type 'integer', got -1."],
  ],
  'a key of another type': [
    'connection',
    { kind: 'track', counter: 'sc0', key: ['a'], table: 'ips' },
    [
      ".key: expected a string, a number, a Uint8Array or { base64 }, as track('sc0', key, 'table') makes it, got a list.",
    ],
  ],
  'a key and a part of the connection': [
    'connection',
    { kind: 'track', counter: 'sc0', key: '10.0.0.1', by: 'src', table: 'ips' },
    [": expected one of 'key' and 'by', as track('sc0', key, 'table') makes it, got both."],
  ],
  'neither a key nor a part of the connection': [
    'connection',
    { kind: 'track', counter: 'sc0', table: 'ips' },
    [": expected one of 'key' and 'by', as track('sc0', key, 'table') makes it, got none."],
  ],
  'a part of the connection that is none': [
    'connection',
    { kind: 'track', counter: 'sc0', by: 'scr', table: 'ips' },
    [
      ".by: expected 'src', 'dst', 'peer', 'srcPort', 'dstPort', 'frontend', 'serverName', 'ja4' or 'fingerprint', as track('sc0', key, 'table') makes it, got 'scr'. [src]",
    ],
  ],
  'a part of the connection that does not fit its table': [
    'connection',
    { kind: 'track', counter: 'sc0', by: 'serverName', table: 'ips' },
    [
      ".by: expected what is a key for the table 'ips', whose keys are of type 'ip': 'src', 'dst' or 'peer', got 'serverName'.",
    ],
  ],
  'a part of the connection that fits its table': [
    'connection',
    { kind: 'track', counter: 'sc0', by: 'src', table: 'ips' },
    [],
  ],
  'bytes as a key': [
    'connection',
    { kind: 'track', counter: 'sc0', key: { base64: 'CgAAAQ==' }, table: 'ips' },
    [],
  ],
  'bytes as a key that do not fit': [
    'connection',
    { kind: 'track', counter: 'sc0', key: { base64: 'CgAA' }, table: 'ips' },
    [".key: expected a key for the table 'ips', whose keys are of type 'ip', got an object."],
  ],
  'a variable without a name': [
    'connection',
    { kind: 'setVar', name: '', value: 1 },
    [".name: expected a string, as setVar('name', value) makes it, got ''."],
  ],
  'a variable that is an object': [
    'connection',
    { kind: 'setVar', name: 'a', value: {} },
    [
      ".value: expected a string, a number, true, false, a bigint or a Uint8Array or { base64 }, as setVar('name', value) makes it, got an object.",
    ],
  ],
  'a variable that is null': [
    'connection',
    { kind: 'setVar', name: 'a', value: null },
    [
      ".value: expected a string, a number, true, false, a bigint or a Uint8Array or { base64 }, as setVar('name', value) makes it, got null.",
    ],
  ],
  'a backend that is not there': [
    'secured',
    { kind: 'useBackend', backend: 'appp' },
    [": there is no backend named 'appp'. [app]"],
  ],
  'a server that is not there': [
    'session',
    { kind: 'useServer', backend: 'app', server: 'aa' },
    [": there is no server named 'aa'. [a]"],
  ],
  'a server of a backend that is not there': [
    'session',
    { kind: 'useServer', backend: 'appp', server: 'a' },
    [": there is no backend named 'appp'. [app]"],
  ],
  'a backend that is a list': [
    'session',
    { kind: 'useBackend', backend: ['app'] },
    [".backend: expected a string, as useBackend('name') makes it, got a list."],
  ],
  'a priority in words': [
    'session',
    { kind: 'priority', value: 'high' },
    [".value: expected a finite number, as priority(number) makes it, got 'high'."],
  ],
  'a demand that is none of three': [
    'clientHello',
    { kind: 'clientCert', demand: 'always' },
    [
      ".demand: expected 'none', 'optional' or 'required', as clientCert('required') makes it, got 'always'.",
    ],
  ],
  'a certificate by number': [
    'clientHello',
    { kind: 'useCertificate', name: 5 },
    [".name: expected a string, as useCertificate('name') makes it, got 5."],
  ],
  'a field too many': [
    'connection',
    { kind: 'useBackend', backend: 'app', backends: 'app' },
    ['.backends: is unknown. [backend]'],
  ],
  'a verdict in the wrong list that is broken, too': [
    'secured',
    { kind: 'useCertificate', name: '' },
    [
      ": useCertificate('name') is for ClientHello rules only, and these are rules on completed TLS.",
      ".name: expected a string, as useCertificate('name') makes it, got ''.",
    ],
  ],
}

for (const [name, [list, verdict, expected]] of Object.entries(broken)) {
  test(`${name}: ${expected.length === 0 ? 'right' : 'found'}`, () => {
    const lines = expected.map((line) => `${at(list)}${line}`)
    assert.deepEqual(issues(config(list, [verdict])), lines)
    const json = parseJson(JSON.stringify(config(list, [verdict])))
    assert.deepEqual(issues(json as Loose), lines, 'as JSON')
  })
}

test('values that only TypeScript can hold', () => {
  const of = (verdict: unknown) => issues(config('connection', [verdict]))
  assert.deepEqual(of({ kind: 'priority', value: Number.POSITIVE_INFINITY }).length, 1)
  assert.deepEqual(of({ kind: 'setVar', name: 'f', value: () => 1 }).length, 1)
  assert.deepEqual(of({ kind: 'track', counter: 'sc0', key: undefined, table: 'ips' }), [])
  assert.deepEqual(of(track('sc0', new Uint8Array(4), 'ips')), [])
  assert.deepEqual(of(track('sc0', new Uint8Array(5), 'ips')).length, 1)
})

test('what a function made by track refers to is checked, wherever it stands', () => {
  const rule = track('sc0', (conn) => conn.src, 'nosuch')
  const wrong = ": there is no table named 'nosuch' (there is 'ips', 'numbers')."
  for (const list of names) {
    assert.deepEqual(issues(config(list, [rule])), [at(list) + wrong])
    assert.deepEqual(issues(config(list, [{ name: 'n', run: rule }])), [at(list) + wrong])
    assert.deepEqual(issues(config(list, [track('sc1', (conn) => conn.src, 'ips')])), [])
  }
  assert.deepEqual(issues(config('session', [track('sc3' as 'sc0', () => 'a', 'ips')])), [
    "rules.session[0]: expected 'sc0', 'sc1' or 'sc2', got 'sc3'.",
  ])
})

test('rules that are none of the three', () => {
  const expected = 'expected a rule: a function, a verdict, or { name, run }, got'
  for (const [rule, got] of [
    [null, 'null'],
    ['accept', "'accept'"],
    [[accept()], 'a list'],
    [5, '5'],
  ]) {
    assert.deepEqual(issues(config('connection', [rule])), [
      `rules.connection[0]: ${expected} ${got}.`,
    ])
  }
})

test('certificates and demands need a bind that can follow them', () => {
  const routed = { sniRoutes: { '*': 'app' } }
  const first = 'rules.clientHello[0]'
  assert.deepEqual(issues(config('clientHello', [useCertificate('a.example')], routed)), [
    `${first}: needs a bind with 'tls': without it there is no certificate.`,
  ])
  assert.deepEqual(issues(config('clientHello', [clientCert('none')], routed)), [
    `${first}: needs a bind with 'tls': without it there is no certificate.`,
  ])
  const without = { tls: { cert: '/nowhere/a.pem' } }
  assert.deepEqual(issues(config('clientHello', [clientCert('optional')], without)), [
    `${first}: needs 'ca' in the bind's 'tls': the authorities that sign clients' certificates.`,
  ])
  assert.deepEqual(issues(config('clientHello', [clientCert('none')], without)), [])
})

test('a constructor that is not called: which call was meant', () => {
  const makers = {
    tarpit: [tarpit, "tarpit('5s')"],
    reply: [reply, "reply('text')"],
    track: [track, "track('sc0', key, 'table')"],
    setVar: [setVar, "setVar('name', value)"],
    useBackend: [useBackend, "useBackend('name')"],
    useServer: [useServer, "useServer('backend', 'server')"],
    priority: [priority, 'priority(number)'],
    useCertificate: [useCertificate, "useCertificate('name')"],
    clientCert: [clientCert, "clientCert('required')"],
  } as const
  for (const [name, [maker, call]] of Object.entries(makers)) {
    const list = name === 'useCertificate' || name === 'clientCert' ? 'clientHello' : 'connection'
    const said = `expected a rule, got the function ${name} itself, which makes one. [${call}]`
    const at = `rules.${list}`
    assert.deepEqual(issues(config(list, [maker])), [`${at}[0]: ${said}`])
    const named = { name: 'mine', run: maker }
    assert.deepEqual(issues(config(list, [() => accept(), named])), [`${at}[1]: ${said}`])
  }
  // Without arguments they answer the same.
  assert.deepEqual(issues(config('connection', [expectProxy, reject])), [])
})
