import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { DownstreamTlsConfig, FrontendConfig } from '#sluice/config/types.js'
import {
  accept,
  type ClientHello,
  type Connection,
  clientCert,
  passthrough,
  type Rule,
  reject,
  useBackend,
  useCertificate,
  type Verdict,
} from '#sluice/policy.js'
import { type ConnectOptions, createTestProxy } from '#sluice/testing/index.js'

type HelloRule = Rule<Connection & { readonly hello: ClientHello }>

/** Two sets of certificates: 'a.example' without, 'b.example' with authorities for clients. */
const TLS: DownstreamTlsConfig[] = [
  { cert: 'a.example.pem', alpn: ['h2', 'http/1.1'] },
  { cert: 'b.example.pem', ca: 'clients.pem', alpn: ['h2', 'http/1.1'] },
]

/** One client through a proxy with these rules, as far as it comes by itself. */
async function pass(
  rules: NonNullable<FrontendConfig['rules']>,
  tls: NonNullable<ConnectOptions['tls']> = {},
) {
  const proxy = await createTestProxy({
    frontends: {
      web: {
        bind: { address: '192.0.2.10:443', tls: TLS },
        backend: 'app',
        rules,
      },
    },
    backends: {
      app: { servers: { a: '10.0.0.1:80' } },
      other: { servers: { a: '10.0.0.2:80' } },
    },
  })
  const hello = { serverName: 'a.example', alpn: ['http/1.1'], ...tls }
  return proxy.connect({ tls: hello, bytes: 'payload', fin: true })
}

test('a rule reads the ClientHello before TLS, and TLS afterwards', async () => {
  const seen: unknown[] = []
  const result = await pass(
    {
      clientHello: [
        ({ hello, tls }) => void seen.push(hello.serverName, hello.alpn, hello.versions, tls),
      ],
      secured: [
        ({ hello, tls }) => void seen.push(tls.serverName, tls.alpn, tls.version, hello?.ja4),
      ],
      session: [({ tls }) => void seen.push(tls?.ja4)],
    },
    { serverName: 'B.Example', alpn: ['h2', 'http/1.1'] },
  )
  const ja4 = seen.at(-1)
  assert.match(String(ja4), /^t13d\d{4}h2_[0-9a-f]{12}_[0-9a-f]{12}$/)
  const before = ['b.example', ['h2', 'http/1.1'], [0x0304, 0x0303], undefined]
  assert.deepEqual(seen, [...before, 'b.example', 'h2', 'TLSv1.3', ja4, ja4])
  assert.equal(result.sentText, 'payload')
})

test('useCertificate shows the certificate of another name, and goes on with the rules', async () => {
  const ran: string[] = []
  const rules: HelloRule[] = [
    function shared() {
      return useCertificate('B.example')
    },
    () => void ran.push('next'),
  ]
  const result = await pass({ clientHello: rules })
  assert.equal(result.tls?.certificate?.name, 'b.example')
  assert.deepEqual(ran, ['next'])
  assert.equal(result.rule, 'shared')
  // The last one counts, and a constant is a rule too.
  const other = await pass({ clientHello: [...rules, useCertificate('a.example')] })
  assert.equal(other.tls?.certificate?.name, 'a.example')
})

test('clientCert demands a certificate of one client and not of another', async () => {
  const rule: HelloRule = ({ hello }) =>
    hello.alpn.includes('h2') ? clientCert('required') : undefined
  const asked = await pass({ clientHello: [rule] }, { serverName: 'b.example', alpn: ['h2'] })
  assert.equal(asked.tls?.certificate?.clientCert, 'required')
  assert.equal(asked.reason?.code, 'tls-cert-missing')
  const free = await pass({ clientHello: [rule] }, { serverName: 'b.example' })
  assert.equal(free.tls?.certificate?.clientCert, 'none')
  assert.equal(free.sentText, 'payload')
})

test('a demand without authorities is a failure of the policy', async () => {
  const result = await pass({ clientHello: [clientCert('required')] })
  const { by, phase, code } = result.reason ?? {}
  assert.deepEqual([by, phase, code], ['policy', 'tls', 'policy-error'])
})

test('passthrough sends the bytes as they are, and ends the ruleset', async () => {
  const ran: string[] = []
  const result = await pass({
    clientHello: [useBackend('other'), passthrough(), () => void ran.push('behind')],
    secured: [() => void ran.push('secured')],
  })
  assert.equal(result.tls?.passthrough, true)
  assert.deepEqual([result.backend, result.rule], ['other', 'passthrough'])
  assert.deepEqual(ran, [])
  // The ClientHello first, in its record.
  assert.deepEqual([...result.sent.subarray(0, 2)], [22, 3])
  assert.ok(result.sentText.endsWith('payload'))
})

test('an answer by promise, with several verdicts', async () => {
  const rule: HelloRule = async ({ hello }) => {
    await nextTurn()
    return hello.serverName === 'a.example'
      ? [useCertificate('b.example'), clientCert('optional'), useBackend('other')]
      : passthrough()
  }
  const terminated = await pass({ clientHello: [rule] })
  const { name, clientCert: demand } = terminated.tls?.certificate ?? {}
  assert.deepEqual([name, demand, terminated.backend], ['b.example', 'optional', 'other'])
  const through = await pass({ clientHello: [rule] }, { serverName: 'b.example' })
  assert.equal(through.tls?.passthrough, true)
})

test('accept and reject end the ruleset', async () => {
  const accepted = await pass({ clientHello: [accept(), reject()] })
  assert.equal(accepted.sentText, 'payload')
  const rejected = await pass({ clientHello: [reject()] })
  assert.deepEqual(
    [rejected.reason?.by, rejected.reason?.phase, rejected.reason?.code],
    ['policy', 'tls', 'rejected'],
  )
  assert.equal(rejected.tls?.certificate, undefined)
})

for (const verdict of [useCertificate('b.example'), clientCert('none'), passthrough()]) {
  test(`'${verdict.kind}' is for ClientHello rules: elsewhere the rule fails`, async () => {
    // A constant in the wrong place is found before anything starts, and what the compiler knows by it.
    const rule = (): Verdict => verdict
    const places = [{ connection: [rule] }, { secured: [rule] }, { session: [rule] }]
    for (const place of places) {
      const { reason, logs, sent } = await pass(place)
      assert.deepEqual([reason?.by, reason?.code], ['policy', 'policy-error'])
      assert.ok(logs.some(({ err }) => /is for ClientHello rules only/.test(JSON.stringify(err))))
      assert.equal(sent.length, 0)
    }
  })
}

test('nonsense is a failure of the rule', async () => {
  for (const verdict of [
    { kind: 'clientCert', demand: 'always' },
    { kind: 'useCertificate', name: 5 },
  ]) {
    const { reason } = await pass({ clientHello: [() => verdict as never] })
    assert.deepEqual([reason?.by, reason?.code], ['policy', 'policy-error'])
  }
})
