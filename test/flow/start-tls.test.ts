/** TLS that a handshake rule starts: where it comes in, and who goes on without it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FrontendConfig } from '#sluice/config/types.js'
import {
  accept,
  consume,
  type FirstBytes,
  type HandshakeRule,
  more,
  prepend,
  type RuleAnswer,
  reject,
  send,
  startTls,
  useBackend,
} from '#sluice/policy.js'
import { createTestProxy } from '#sluice/testing/index.js'

const bind = {
  address: '127.0.0.1:25',
  tls: { cert: 'certs/mail.example.pem' },
  startTls: 'rule' as const,
}
const tls = { serverName: 'mail.example', clear: 'STLS\n' }

function proxyWith(handshake: HandshakeRule[], more: Partial<FrontendConfig> = {}) {
  const { rules, ...rest } = more
  const web = { bind, backend: 'app', ...rest, rules: { ...rules, handshake } }
  const backends = {
    app: { servers: { a: '127.0.0.1:9001' } },
    other: { servers: { b: '127.0.0.1:9002' } },
  }
  return createTestProxy({ frontends: { web }, backends })
}

const stls = ({ bytes }: FirstBytes) =>
  bytes.length < 5 ? more() : [send('+OK\n', { consume: 5 }), startTls()]

test('the rules behind it, the ClientHello and the secured ones, in their order', async () => {
  const order: string[] = []
  const seen =
    (name: string) =>
    (conn: { hello?: unknown; tls?: unknown; bytes?: Uint8Array }): undefined => {
      const bytes = conn.bytes && Buffer.from(conn.bytes).toString()
      order.push(`${name} ${conn.hello !== undefined} ${conn.tls !== undefined} ${bytes ?? ''}`)
    }
  await using proxy = await proxyWith([seen('first'), stls, seen('behind'), () => consume(2)], {
    rules: {
      connection: [() => void order.push('connection')],
      clientHello: [({ hello }) => void order.push(`hello ${hello.serverName}`)],
      secured: [() => void order.push('secured')],
      session: [() => void order.push('session')],
    },
  })
  for (const split of [undefined, 3, 'every'] as const) {
    order.length = 0
    const result = await proxy.connect({ tls, bytes: 'payload', ...(split && { split }) })
    assert.equal(result.replyText, '+OK\n')
    assert.equal(result.sentText, 'yload')
    assert.equal(result.tls?.info?.serverName, 'mail.example')
    assert.equal(result.verdict, 'accepted')
    assert.deepEqual(
      order.filter((step) => !step.startsWith('first')),
      ['connection', 'hello mail.example', 'secured', 'behind true true payload', 'session'],
    )
  }
})

test('an asynchronous rule starts it too, and rules behind it may wait', async () => {
  await using proxy = await proxyWith([
    async (conn) => stls(conn),
    async ({ bytes }) => (bytes.length < 7 ? more() : useBackend('other')),
  ])
  const result = await proxy.connect({ tls, bytes: 'payload', split: 'every' })
  assert.equal(result.backend, 'other')
  assert.equal(result.sentText, 'payload')
})

test('bytes in clear that are left end the connection, and nobody sees them decrypted', async () => {
  const seen: string[] = []
  await using proxy = await proxyWith([
    stls,
    ({ bytes }) => void seen.push(Buffer.from(bytes).toString()),
  ])
  const result = await proxy.connect({ tls: { ...tls, clear: 'STLS\nDATA\n' }, bytes: 'x' })
  assert.deepEqual(result.reason, { by: 'client', phase: 'handshake', code: 'tls-clear-bytes' })
  assert.deepEqual(seen, [])
})

test('without TLS nobody gets through, but whom a rule accepts', async () => {
  const rules: [HandshakeRule, string | undefined][] = [
    [() => undefined, 'not-tls'],
    [() => useBackend('other'), 'not-tls'],
    [() => consume(1), 'not-tls'],
    [{ name: 'late', run: () => more(), limit: 4, onError: 'open' }, 'not-tls'],
    [
      {
        name: 'throws',
        run() {
          throw new Error('boom')
        },
        onError: 'open',
      },
      'not-tls',
    ],
    [() => reject(), 'rejected'],
    [() => accept(), undefined],
    [() => [consume(1), useBackend('other'), accept()], undefined],
  ]
  for (const [rule, code] of rules) {
    await using proxy = await proxyWith([rule])
    const result = await proxy.connect({ bytes: 'in clear' })
    const said = `${rule}`
    assert.equal(result.reason?.code, code, said)
    assert.equal(result.sentText === '', code !== undefined, said)
  }
})

test('a failure that opens does not open what was to be secured', async () => {
  await using proxy = await proxyWith([() => more()], { onError: 'open' })
  const silent = await proxy.connect()
  await proxy.advance('5s')
  assert.deepEqual(silent.reason, { by: 'client', phase: 'handshake', code: 'not-tls' })
  assert.equal(silent.sentText, '')
})

test('what cannot be started is a failure of the rule', async () => {
  const twice = [stls, () => startTls()]
  const inFront = [() => [consume(5), prepend('x'), startTls()]]
  for (const rules of [twice, inFront] as ((conn: FirstBytes) => RuleAnswer)[][]) {
    await using proxy = await proxyWith(rules)
    const result = await proxy.connect({ tls, bytes: 'payload' })
    assert.deepEqual(result.reason, { by: 'policy', phase: 'handshake', code: 'policy-error' })
  }
})

test('a client that says nothing more is told from one that leaves', async () => {
  await using proxy = await proxyWith([stls])
  const waiting = await proxy.connect({ bytes: 'STLS\n' })
  assert.equal(waiting.replyText, '+OK\n')
  await proxy.advance('5s')
  assert.deepEqual(waiting.reason, { by: 'timeout', phase: 'tls', code: 'handshake-timeout' })
  const leaving = await proxy.connect({ bytes: 'STLS\n' })
  await leaving.connection.fin()
  assert.deepEqual(leaving.reason, { by: 'client', phase: 'tls', code: 'aborted' })
})
