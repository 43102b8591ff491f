/** Every constant verdict, from a JSON file to what it does. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadConfig } from '#sluice/config/load.js'
import { verdictKinds } from '#sluice/policy/rule.js'
import type { RuleList } from '#sluice/policy/rule-lists.js'
import {
  type ConnectOptions,
  createTestProxy,
  type TestProxy,
  type TestResult,
} from '#sluice/testing/index.js'

type Verdict = { kind: string } & Record<string, unknown>

const secured: ConnectOptions = { tls: { serverName: 'a.example' }, bytes: 'payload' }

/** A proxy whose configuration came out of a JSON file with these verdicts in one list. */
async function started(list: RuleList, verdicts: Verdict[]): Promise<TestProxy> {
  const tls = [{ cert: 'a.example.pem' }, { cert: 'b.example.pem', ca: 'clients.pem' }]
  const config = {
    tables: {
      ips: { key: 'ip', size: 10, store: { connCur: true } },
      names: { key: 'string', size: 10 },
      raw: { key: 'binary', size: 10, keyLength: 4 },
    },
    frontends: {
      web: {
        bind: {
          address: '192.0.2.10:443',
          ...(list === 'clientHello' && { tls }),
          ...(verdicts.some(({ kind }) => kind === 'startTls') && { tls, startTls: 'rule' }),
        },
        backend: 'app',
        rules: { [list]: verdicts },
      },
    },
    backends: {
      app: { servers: { a: '10.0.0.1:80' } },
      other: { servers: { a: '10.0.0.2:80', b: '10.0.0.3:80' } },
    },
  }
  const folder = mkdtempSync(join(tmpdir(), 'sluice-json-'))
  try {
    writeFileSync(join(folder, 'sluice.config.json'), JSON.stringify(config))
    const loaded = await loadConfig(undefined, { cwd: folder })
    return (await createTestProxy(loaded.config)) as TestProxy
  } finally {
    rmSync(folder, { recursive: true })
  }
}

interface Case {
  list?: RuleList
  verdicts: Verdict[]
  connect?: ConnectOptions
  see(result: TestResult, proxy: TestProxy): void | Promise<void>
}

const reject = { kind: 'reject' }

const cases: Record<string, Case> = {
  accept: {
    verdicts: [{ kind: 'accept' }, reject],
    see: ({ verdict }) => assert.equal(verdict, 'accepted'),
  },
  reject: {
    verdicts: [reject],
    see: ({ verdict }) => assert.equal(verdict, 'rejected'),
  },
  'reject, by RST': {
    verdicts: [{ kind: 'reject', reset: true }],
    see: ({ verdict }) => assert.equal(verdict, 'reset'),
  },
  tarpit: {
    verdicts: [{ kind: 'tarpit', duration: '5s' }],
    async see(result, proxy) {
      assert.equal(result.verdict, 'tarpitted')
      await proxy.advance('4999ms')
      assert.equal(result.open, true)
      await proxy.advance('1ms')
      assert.equal(result.open, false)
    },
  },
  reply: {
    verdicts: [{ kind: 'reply', content: 'büsy\n' }],
    see({ verdict, replyText }) {
      assert.equal(verdict, 'replied')
      assert.equal(replyText, 'büsy\n')
    },
  },
  'reply, with bytes': {
    verdicts: [{ kind: 'reply', content: { base64: 'AAH/' } }],
    see: ({ reply }) => assert.deepEqual([...reply], [0, 1, 255]),
  },
  track: {
    verdicts: [{ kind: 'track', counter: 'sc0', by: 'src', table: 'ips' }],
    see: (_, proxy) => assert.equal(proxy.tables.ips?.get('192.0.2.1')?.connCur, 1),
  },
  'track, a constant': {
    verdicts: [{ kind: 'track', counter: 'sc2', key: 'everybody', table: 'names' }],
    see: (_, proxy) => assert.deepEqual(keys(proxy, 'names'), ['everybody']),
  },
  'track, bytes': {
    verdicts: [{ kind: 'track', counter: 'sc1', key: { base64: 'AAH/' }, table: 'raw' }],
    see: (_, proxy) => assert.deepEqual(keys(proxy, 'raw'), ['0001ff']),
  },
  'track, what a connection has not': {
    verdicts: [{ kind: 'track', counter: 'sc0', by: 'serverName', table: 'names' }],
    see({ verdict }, proxy) {
      assert.equal(verdict, 'accepted')
      assert.deepEqual(keys(proxy, 'names'), [])
    },
  },
  'track, by the server name': {
    list: 'clientHello',
    verdicts: [{ kind: 'track', counter: 'sc0', by: 'serverName', table: 'names' }],
    connect: secured,
    see: (_, proxy) => assert.deepEqual(keys(proxy, 'names'), ['a.example']),
  },
  setVar: {
    verdicts: [
      { kind: 'setVar', name: 'tenant', value: 'a' },
      { kind: 'setVar', name: 'raw', value: { base64: 'AAH/' } },
    ],
    see({ vars }) {
      const { tenant, raw } = vars as Record<string, unknown>
      assert.equal(tenant, 'a')
      assert.deepEqual([...(raw as Uint8Array)], [0, 1, 255])
    },
  },
  useBackend: {
    verdicts: [{ kind: 'useBackend', backend: 'other' }],
    see: ({ backend }) => assert.equal(backend, 'other'),
  },
  useServer: {
    verdicts: [{ kind: 'useServer', backend: 'other', server: 'b', strict: true }],
    see: ({ backend, server }) => assert.deepEqual([backend, server], ['other', 'b']),
  },
  expectProxy: {
    verdicts: [{ kind: 'expectProxy' }],
    async see(result) {
      assert.equal(result.verdict, 'pending')
      await result.connection.send('PROXY TCP4 198.51.100.7 192.0.2.10 1 443\r\n')
      assert.equal(result.verdict, 'accepted')
    },
  },
  priority: {
    verdicts: [{ kind: 'priority', value: -10 }],
    see: ({ steps }) => assert.deepEqual(steps[0]?.answer, { kind: 'priority', value: -10 }),
  },
  useCertificate: {
    list: 'clientHello',
    verdicts: [{ kind: 'useCertificate', name: 'B.Example' }],
    connect: secured,
    see: ({ tls }) => assert.equal(tls?.certificate?.name, 'b.example'),
  },
  clientCert: {
    list: 'clientHello',
    verdicts: [
      { kind: 'useCertificate', name: 'b.example' },
      { kind: 'clientCert', demand: 'optional' },
    ],
    connect: secured,
    see: ({ tls }) => assert.equal(tls?.certificate?.clientCert, 'optional'),
  },
  passthrough: {
    list: 'clientHello',
    verdicts: [{ kind: 'passthrough' }, reject],
    connect: secured,
    see: ({ tls }) => assert.equal(tls?.passthrough, true),
  },
  more: {
    list: 'handshake',
    verdicts: [{ kind: 'more' }],
    async see(result, proxy) {
      assert.equal(result.verdict, 'pending')
      await proxy.advance('5s')
      assert.equal(result.reason?.code, 'handshake-timeout')
    },
  },
  consume: {
    list: 'handshake',
    verdicts: [{ kind: 'consume', bytes: 3 }],
    connect: { bytes: 'payload', split: 2 },
    see: ({ sentText }) => assert.equal(sentText, 'load'),
  },
  send: {
    list: 'handshake',
    verdicts: [
      { kind: 'send', content: 'hi\r\n' },
      { kind: 'send', content: { base64: 'AAH/' }, consume: 3 },
    ],
    connect: { bytes: 'payload' },
    see({ reply, sentText }) {
      assert.deepEqual([...reply], [104, 105, 13, 10, 0, 1, 255])
      assert.equal(sentText, 'load')
    },
  },
  prepend: {
    list: 'handshake',
    verdicts: [
      { kind: 'consume', bytes: 3 },
      { kind: 'prepend', content: 'down' },
    ],
    connect: { bytes: 'payload' },
    see: ({ sentText }) => assert.equal(sentText, 'download'),
  },
  startTls: {
    list: 'handshake',
    verdicts: [
      { kind: 'consume', bytes: 4 },
      { kind: 'send', content: '+OK\n' },
      { kind: 'startTls' },
    ],
    connect: { tls: { serverName: 'a.example', clear: 'STLS' }, bytes: 'payload' },
    see({ tls, replyText, sentText }) {
      assert.equal(tls?.certificate?.name, 'a.example')
      assert.equal(replyText, '+OK\n')
      assert.equal(sentText, 'payload')
    },
  },
}

function keys(proxy: TestProxy, table: string): unknown[] {
  return [...(proxy.tables[table]?.entries() ?? [])].map(({ key }) => key)
}

test('each kind has its case', () => {
  const told = new Set(
    Object.values(cases).flatMap(({ verdicts }) => verdicts.map(({ kind }) => kind)),
  )
  assert.deepEqual([...told].sort(), [...verdictKinds.keys()].sort())
})

for (const [name, { list = 'connection', verdicts, connect, see }] of Object.entries(cases)) {
  test(`from JSON: ${name}`, async () => {
    await using proxy = await started(list, verdicts)
    await see(await proxy.connect(connect), proxy)
  })
}

test('priority, from JSON: who waits for a slot with the lower number goes first', async () => {
  const web = (rules: Verdict[]) => ({
    bind: '192.0.2.10:1',
    backend: 'app',
    rules: { session: rules },
  })
  const config = JSON.parse(
    JSON.stringify({
      frontends: {
        slow: web([]),
        fast: { ...web([{ kind: 'priority', value: -10 }]), bind: '192.0.2.10:2' },
      },
      backends: { app: { servers: { a: { address: '10.0.0.1:80', maxconn: 1 } } } },
    }),
  )
  await using proxy = (await createTestProxy(config)) as TestProxy
  const first = await proxy.connect({ frontend: 'slow' })
  const second = await proxy.connect({ frontend: 'slow' })
  const third = await proxy.connect({ frontend: 'fast' })
  assert.deepEqual([second.verdict, third.verdict], ['pending', 'pending'])
  await first.connection.reset()
  assert.deepEqual([second.verdict, third.verdict], ['pending', 'accepted'])
})
