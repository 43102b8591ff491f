import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RuleFunction } from '#sluice/policy/rule.js'
import type { Connection } from '#sluice/policy/types.js'
import { more, reject, useBackend } from '#sluice/policy.js'
import { settle } from '#sluice/testing/clock.js'
import { harness, web } from '../../support/harness.js'

type Content = Connection & { readonly payload: Uint8Array }

const text = (conn: Content) => new TextDecoder().decode(conn.payload)

async function withContent(rules: RuleFunction<Content>[], limit = '16kB' as const) {
  return harness({
    backends: {
      app: { servers: { a: '127.0.0.1:9001' } },
      tls: { servers: { b: '127.0.0.1:9002' } },
    },
    frontends: web({
      rules: { content: rules, inspectDelay: '2s', inspectLimit: limit },
    }),
  })
}

test('content rules see the first payload, and it is forwarded whole', async () => {
  const { engine } = await withContent([
    (conn) => (conn.payload[0] === 0x16 ? useBackend('tls') : undefined),
  ])
  const client = engine.accept()
  assert.equal(client.mode, 'inspect')
  client.send(Uint8Array.of(0x16, 3, 1))
  assert.equal(client.mode, 'forward')
  assert.deepEqual([...client.serverReceived], [0x16, 3, 1])
})

test('more waits for payload, one byte at a time', async () => {
  const seen: string[] = []
  const { engine } = await withContent([
    (conn) => {
      seen.push(text(conn))
      return conn.payload.length < 3 ? more() : undefined
    },
  ])
  const client = engine.accept()
  for (const byte of ['a', 'b', 'c', 'd']) client.send(byte)
  assert.deepEqual(seen, ['a', 'ab', 'abc'])
  assert.equal(new TextDecoder().decode(client.serverReceived), 'abcd')
})

test('at the end of the inspect delay more means no match', async () => {
  const seen: string[] = []
  const { engine, clock } = await withContent([
    (conn) => {
      seen.push(text(conn))
      return more()
    },
    () => useBackend('tls'),
  ])
  const client = engine.accept()
  client.send('x')
  clock.advance('1999ms')
  assert.equal(client.mode, 'inspect')
  clock.advance('1ms')
  assert.equal(client.mode, 'forward')
  assert.deepEqual(seen, ['x', 'x'])
})

test('silence until the inspect delay: the rules run once, on nothing', async () => {
  const seen: number[] = []
  const { engine, clock } = await withContent([
    (conn) => {
      seen.push(conn.payload.length)
      return conn.payload.length === 0 ? more() : reject()
    },
  ])
  const client = engine.accept()
  clock.advance('2s')
  assert.deepEqual(seen, [0])
  assert.equal(client.mode, 'forward')
})

test('a full buffer and a FIN are the last evaluation too', async () => {
  const { engine } = await withContent([() => more()], '4B' as '16kB')
  const full = engine.accept()
  full.send('abcd')
  assert.equal(full.mode, 'forward')
  const finished = engine.accept()
  finished.send('ab')
  assert.equal(finished.mode, 'inspect')
  finished.fin()
  assert.equal(finished.mode, 'forward')
  assert.equal(finished.serverFinReceived, true)
})

test('payload that arrives while an asynchronous rule thinks is not lost', async () => {
  const seen: string[] = []
  let release: (() => void) | undefined
  const { engine } = await withContent([
    async (conn) => {
      const before = text(conn)
      await new Promise<void>((resolve) => {
        release = resolve
      })
      // The payload is the rule's own: it does not change under its hands.
      seen.push(`${before}=${text(conn)}`)
      return conn.payload.length < 4 ? more() : undefined
    },
  ])
  const client = engine.accept()
  client.send('ab')
  client.send('cd')
  release?.()
  await settle()
  release?.()
  await settle()
  assert.deepEqual(seen, ['ab=ab', 'abcd=abcd'])
  assert.equal(client.mode, 'forward')
})

test('a reject says that content decided', async () => {
  const { engine, sessions } = await withContent([
    function noSmtp(conn) {
      return text(conn).startsWith('EHLO') ? reject() : undefined
    },
  ])
  const client = engine.accept()
  client.send('EHLO x\r\n')
  assert.deepEqual(client.end, { by: 'policy', phase: 'content', code: 'rejected' })
  assert.equal(sessions()[0]?.rule, 'noSmtp')
  assert.equal(sessions()[0]?.bytesIn, 8)
})

test('a client that leaves during the inspection is logged at content', async () => {
  const { engine, sessions } = await withContent([() => more()])
  engine.accept().reset()
  assert.equal(sessions()[0]?.by, 'client')
  assert.equal(sessions()[0]?.phase, 'content')
})
