import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '#sluice/base/errors.js'
import { parseJson } from '#sluice/config/json.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { Config } from '#sluice/config/types.js'
import {
  accept,
  clientCert,
  expectProxy,
  more,
  passthrough,
  priority,
  reject,
  reply,
  setVar,
  tarpit,
  track,
  useBackend,
  useCertificate,
} from '#sluice/policy.js'

type Loose = Record<string, unknown>

const tls = { cert: '/nowhere/a.pem', ca: '/nowhere/ca.pem' }
type List = 'connection' | 'session' | 'content' | 'clientHello' | 'secured'
const names: List[] = ['connection', 'session', 'content', 'clientHello', 'secured']

/** A configuration where every list may stand, with `rules` in `list`. */
function config(list: List, rules: unknown, bind: Loose = { tls }): Loose {
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
  ['priority', priority(-1), names],
  ['expectProxy', expectProxy(), ['connection']],
  ['more', more(), ['content']],
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
  'a reply of text': [
    'connection',
    { kind: 'reply', bytes: 'hi' },
    [
      ".bytes: expected bytes (a Uint8Array of at most 1048576), as reply('text') makes it, got 'hi'.",
    ],
  ],
  'a reply of nothing': [
    'session',
    { kind: 'reply' },
    [
      ".bytes: expected bytes (a Uint8Array of at most 1048576), as reply('text') makes it, got nothing.",
    ],
  ],
  'a reply that no engine takes': [
    'connection',
    { kind: 'reply', bytes: new Uint8Array(2 ** 20 + 1) },
    [
      ".bytes: expected bytes (a Uint8Array of at most 1048576), as reply('text') makes it, got an object.",
    ],
  ],
  'a tarpit of a text': [
    'connection',
    { kind: 'tarpit', ms: '5s' },
    [".ms: expected milliseconds from 0 to 2147483647, as tarpit('5s') makes it, got '5s'."],
  ],
  'a tarpit before now': [
    'connection',
    { kind: 'tarpit', ms: -1 },
    [".ms: expected milliseconds from 0 to 2147483647, as tarpit('5s') makes it, got -1."],
  ],
  'another way to reject': [
    'connection',
    { kind: 'reject', how: 'rst' },
    [".how: expected 'close' or 'reset', as reject() makes it, got 'rst'."],
  ],
  'a plain reject': ['connection', { kind: 'reject' }, []],
  'a fourth counter': [
    'connection',
    { kind: 'track', counter: 'sc3', key: '10.0.0.1', table: 'ips' },
    [
      ".counter: expected 'sc0', 'sc1' or 'sc2', as track('sc0', key, 'table') makes it, got 'sc3'.",
    ],
  ],
  'a counter by its number': [
    'connection',
    { kind: 'track', counter: 0, key: '10.0.0.1', table: 'ips' },
    [".counter: expected 'sc0', 'sc1' or 'sc2', as track('sc0', key, 'table') makes it, got 0."],
  ],
  'a table that is not there': [
    'content',
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
      ".key: expected a string, a number or a Uint8Array, as track('sc0', key, 'table') makes it, got a list.",
    ],
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
      ".value: expected a string, a number, true, false, a bigint or a Uint8Array, as setVar('name', value) makes it, got an object.",
    ],
  ],
  'a variable that is null': [
    'connection',
    { kind: 'setVar', name: 'a', value: null },
    [
      ".value: expected a string, a number, true, false, a bigint or a Uint8Array, as setVar('name', value) makes it, got null.",
    ],
  ],
  'a backend that is not there': [
    'secured',
    { kind: 'backend', backend: 'appp' },
    [": there is no backend named 'appp'. [app]"],
  ],
  'a backend that is a list': [
    'session',
    { kind: 'backend', backend: ['app'] },
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
    { kind: 'certificate', name: 5 },
    [".name: expected a string, as useCertificate('name') makes it, got 5."],
  ],
  'a field too many': [
    'connection',
    { kind: 'backend', backend: 'app', backends: 'app' },
    ['.backends: is unknown. [backend]'],
  ],
  'a verdict in the wrong list that is broken, too': [
    'secured',
    { kind: 'certificate', name: '' },
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
  assert.deepEqual(of({ kind: 'tarpit', ms: Number.NaN }), [
    "rules.connection[0].ms: expected milliseconds from 0 to 2147483647, as tarpit('5s') makes it, got NaN.",
  ])
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
