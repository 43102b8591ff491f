import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeTlv } from '#sluice/codec/proxy/tlv.js'
import type { Connection } from '#sluice/policy/types.js'
import { defineHandshake, expectProxy, type HandshakeAnswer } from '#sluice/policy.js'
import { settle } from '#sluice/testing/clock.js'
import { Handshake } from '#sluice/wire/wire.js'
import { harness, web } from '../support/harness.js'

const backends = {
  app: { servers: { a: '127.0.0.1:9001' } },
  ssh: { servers: { b: '127.0.0.1:9002' } },
}

/** A proxy with one custom handler. */
function withHandler(
  onBytes: (
    conn: Connection,
    bytes: Uint8Array,
    info: { eof: boolean; full: boolean },
  ) => HandshakeAnswer | Promise<HandshakeAnswer>,
  options: { limit?: number; deadline?: string; onTimeout?: 'open' | 'close' } = {},
) {
  return harness({
    backends,
    frontends: web({ handshakes: [defineHandshake({ name: 'detect', onBytes, ...options })] }),
  })
}

test('monitor-net gets its reply before the PROXY header and everything else', async () => {
  const { engine, sessions } = await harness({
    frontends: web({
      bind: { address: '127.0.0.1:0', acceptProxy: { from: ['10.0.0.0/8'] } },
      monitor: { from: ['192.0.2.0/24'], reply: 'alive\n' },
    }),
  })
  const monitor = engine.accept({ src: '192.0.2.1' })
  assert.equal(monitor.text, 'alive\n')
  assert.deepEqual(monitor.end, { by: 'proxy', phase: 'monitor-in', code: 'monitor' })
  const other = engine.accept({ src: '10.1.1.1', proxy: { src: '198.51.100.7' } })
  assert.equal(other.mode, 'forward')
  assert.equal(sessions().length, 1)
})

test('a PROXY header comes from trusted sources only', async () => {
  const { engine } = await harness({
    frontends: web({ bind: { address: '127.0.0.1:0', acceptProxy: { from: ['10.0.0.0/8'] } } }),
  })
  const untrusted = engine.accept({ src: '192.0.2.1', proxy: { src: '198.51.100.7' } })
  assert.deepEqual(untrusted.end, { by: 'proxy', phase: 'accept-proxy', code: 'proxy-untrusted' })
  const trusted = engine.accept({ src: '10.0.0.1', proxy: { src: '198.51.100.7' } })
  assert.equal(trusted.mode, 'forward')
})

test('behind a PROXY header src is the header’s, peer the socket’s, and TLVs are there', async () => {
  const seen: unknown[] = []
  const { engine } = await harness({
    frontends: web({
      bind: { address: '127.0.0.1:0', acceptProxy: true },
      rules: {
        connection: [
          (conn: Connection) => {
            seen.push(conn.src, conn.srcPort, conn.peer, conn.proxyTlvs.get(5))
          },
        ],
      },
    }),
  })
  const client = engine.accept({
    src: '10.0.0.1',
    proxy: {
      src: '2001:db8::7',
      srcPort: 77,
      dst: '2001:db8::1',
      tlvs: encodeTlv(5, Uint8Array.of(1, 2)),
    },
  })
  assert.equal(client.mode, 'forward')
  assert.deepEqual(seen, ['2001:db8::7', 77, '10.0.0.1', Uint8Array.of(1, 2)])
})

test('expectProxy in a connection rule awaits the header before the session', async () => {
  const seen: string[] = []
  const { engine } = await harness({
    frontends: web({
      rules: {
        connection: [(conn: Connection) => (conn.src === '10.0.0.1' ? expectProxy() : undefined)],
        session: [
          (conn: Connection) => {
            seen.push(`${conn.src} via ${conn.peer}`)
          },
        ],
      },
    }),
  })
  engine.accept({ src: '10.0.0.1', proxy: { src: '198.51.100.7' } })
  engine.accept({ src: '10.0.0.2' })
  assert.deepEqual(seen, ['198.51.100.7 via 10.0.0.1', '10.0.0.2 via 10.0.0.2'])
  assert.deepEqual(engine.calls[0]?.args, [Handshake.TCP_RULES, Handshake.ACCEPT_PROXY, 0])
})

test('health is answered by the engine alone', async () => {
  const { engine, sessions } = await harness({
    frontends: web({ bind: { address: '127.0.0.1:0', health: true } }),
  })
  assert.equal(engine.accept().text, 'OK\n')
  assert.equal(sessions().length, 0)
})

test('a custom handler sees bytes as they come, chooses a backend and consumes', async () => {
  const seen: string[] = []
  const { engine, sessions } = await withHandler((_conn, bytes) => {
    seen.push(new TextDecoder().decode(bytes))
    return bytes.length < 5 ? 'more' : { consume: 2, backend: 'ssh', vars: { kind: 'ssh' } }
  })
  const client = engine.accept()
  for (const byte of 'SSH-2.0') client.send(byte)
  assert.deepEqual(seen, ['S', 'SS', 'SSH', 'SSH-', 'SSH-2'])
  assert.equal(new TextDecoder().decode(client.serverReceived), 'H-2.0')
  client.reset()
  assert.equal(sessions()[0]?.backend, 'ssh')
  assert.equal(sessions()[0]?.rule, 'detect')
})

test('handlers run one after another, each on what the one before left', async () => {
  const seen: string[] = []
  const handler = (name: string, length: number) =>
    defineHandshake({
      name,
      onBytes(_conn, bytes) {
        if (bytes.length < length) return 'more'
        seen.push(`${name}:${new TextDecoder().decode(bytes)}`)
        return { consume: length }
      },
    })
  const { engine } = await harness({
    frontends: web({ handshakes: [handler('first', 2), handler('second', 3)] }),
  })
  const client = engine.accept()
  client.send('aabbbpayload')
  assert.deepEqual(seen, ['first:aabbbpayload', 'second:bbbpayload'])
  assert.equal(new TextDecoder().decode(client.serverReceived), 'payload')
})

test('reply and reject of a handler', async () => {
  const { engine } = await withHandler((conn, bytes) =>
    bytes[0] === 0x3f ? { reply: `hello ${conn.src}\n` } : { reject: 'reset' },
  )
  const asked = engine.accept()
  asked.send('?')
  assert.equal(asked.text, 'hello 192.0.2.1\n')
  assert.deepEqual(asked.end, { by: 'policy', phase: 'custom', code: 'replied' })
  const rejected = engine.accept()
  rejected.send('!')
  assert.equal(rejected.resetReceived, true)
  assert.deepEqual(rejected.end, { by: 'policy', phase: 'custom', code: 'rejected' })
})

test('a handler that wants more than its limit, or more after the FIN, ends the connection', async () => {
  const infos: unknown[] = []
  const { engine } = await withHandler(
    (_conn, bytes, info) => {
      infos.push([bytes.length, info.eof, info.full])
      return 'more'
    },
    { limit: 4 },
  )
  const full = engine.accept()
  full.send('abcdef')
  assert.equal(full.end?.code, 'handshake-limit')
  const finished = engine.accept()
  finished.send('ab')
  finished.fin()
  assert.deepEqual(finished.end, { by: 'client', phase: 'custom', code: 'aborted' })
  assert.deepEqual(infos, [
    [4, false, true],
    [2, false, false],
    [2, true, false],
  ])
})

test('the deadline of a handler closes, or goes on where it is to open', async () => {
  const closing = await withHandler(() => 'more', { deadline: '3s' })
  const a = closing.engine.accept()
  a.send('x')
  closing.clock.advance('2999ms')
  assert.equal(a.ended, false)
  closing.clock.advance('1ms')
  assert.deepEqual(a.end, { by: 'timeout', phase: 'custom', code: 'handshake-timeout' })
  assert.equal(closing.sessions()[0]?.rule, 'detect')
  const opening = await withHandler(() => 'more', { deadline: '3s', onTimeout: 'open' })
  const b = opening.engine.accept()
  opening.clock.advance('3s')
  assert.equal(b.mode, 'forward')
})

test('an asynchronous handler keeps its bytes, and what came meanwhile is shown next', async () => {
  const seen: string[] = []
  const releases: (() => void)[] = []
  const { engine } = await withHandler(async (_conn, bytes) => {
    await new Promise<void>((resolve) => {
      releases.push(resolve)
    })
    seen.push(new TextDecoder().decode(bytes))
    return bytes.length < 4 ? 'more' : {}
  })
  const client = engine.accept()
  client.send('ab')
  client.send('cd')
  releases[0]?.()
  await settle()
  releases[1]?.()
  await settle()
  assert.deepEqual(seen, ['ab', 'abcd'])
  assert.equal(new TextDecoder().decode(client.serverReceived), 'abcd')
})

test('a handler that never answers is late; its answer has no effect then', async () => {
  let release: ((answer: HandshakeAnswer) => void) | undefined
  const { engine, clock } = await withHandler(
    () =>
      new Promise<HandshakeAnswer>((resolve) => {
        release = resolve
      }),
    { deadline: '1s' },
  )
  const client = engine.accept()
  client.send('x')
  await clock.advanceAsync('1s')
  assert.equal(client.end?.code, 'handshake-timeout')
  const calls = engine.calls.length
  release?.({})
  await settle()
  assert.equal(engine.calls.length, calls)
})

test('a handler that throws, rejects or answers nonsense is logged with its name', async () => {
  const answers: (() => unknown)[] = [
    () => {
      throw new Error('boom')
    },
    () => Promise.reject(new Error('boom')),
    () => undefined,
    () => 'done',
    () => ({ consume: 99 }),
    () => ({ consume: -1 }),
    () => ({ backend: 'absent' }),
    () => ({ reply: 7 }),
    () =>
      Object.defineProperty({}, 'then', {
        get() {
          throw new Error('no promise')
        },
      }),
  ]
  let answer: () => unknown = () => undefined
  const { engine, lines, clock } = await withHandler(() => answer() as HandshakeAnswer)
  for (answer of answers) {
    // Lines about failures are held in a burst.
    clock.advance('1m')
    const client = engine.accept()
    client.send('x')
    await settle()
    assert.deepEqual(client.end, { by: 'policy', phase: 'custom', code: 'policy-error' })
  }
  assert.equal(lines.filter(({ handler }) => handler === 'detect').length, answers.length)
  assert.deepEqual(engine.faults, [])
})

test('connection rules and custom handlers together: both are asked, in order', async () => {
  const order: string[] = []
  const { engine } = await harness({
    frontends: web({
      rules: {
        connection: [() => void order.push('rules')],
        session: [() => void order.push('session')],
      },
      handshakes: [
        defineHandshake({
          name: 'h',
          onBytes: () => {
            order.push('handler')
            return {}
          },
        }),
      ],
    }),
  })
  const client = engine.accept()
  client.send('x')
  assert.deepEqual(order, ['rules', 'handler', 'session'])
  assert.equal(client.mode, 'forward')
})

test('a handler may answer and go on, within the same deadline', async () => {
  const seen: string[] = []
  const { engine, clock } = await withHandler(
    (_conn, bytes) => {
      const text = new TextDecoder().decode(bytes)
      seen.push(text)
      if (text.startsWith('?')) return { send: 'no\n', consume: 1 }
      return text.length < 3 ? 'more' : { consume: 1 }
    },
    { deadline: '3s' },
  )
  const client = engine.accept()
  client.send('?')
  assert.equal(client.text, 'no\n')
  assert.equal(client.ended, false)
  client.send('??a')
  assert.equal(client.text, 'no\nno\nno\n')
  client.send('bc')
  assert.deepEqual(seen, ['?', '??a', '?a', 'a', 'abc'])
  assert.equal(new TextDecoder().decode(client.serverReceived), 'bc')
  const slow = engine.accept()
  slow.send('?')
  clock.advance('2s')
  slow.send('?')
  clock.advance('1s')
  assert.equal(slow.end?.code, 'handshake-timeout')
  const gone = engine.accept()
  gone.send('?')
  gone.fin()
  assert.deepEqual(gone.end, { by: 'client', phase: 'custom', code: 'aborted' })
})

test('an asynchronous handler may send too, and misses nothing that came meanwhile', async () => {
  const seen: string[] = []
  const { engine } = await withHandler(async (_conn, bytes) => {
    const text = new TextDecoder().decode(bytes)
    await settle()
    seen.push(text)
    return text.startsWith('?') ? { send: 'no', consume: 1 } : {}
  })
  const client = engine.accept()
  client.send('?')
  client.send('abc')
  for (let i = 0; i < 4; i++) await settle()
  assert.deepEqual(seen, ['?', 'abc'])
  assert.equal(client.text, 'no')
  assert.equal(new TextDecoder().decode(client.serverReceived), 'abc')
})

test('sending without progress, or too much at once, is an error of the handler', async () => {
  const answers = [
    { send: 'x', consume: 0 },
    { send: 'x', consume: 2 },
    { send: 'x'.repeat(16_385), consume: 1 },
    { send: 7, consume: 1 },
    { send: 'x', done: true, consume: 2 },
    { send: 'x', done: true, backend: 'nosuch' },
    { send: 'x', done: true, consume: -1 },
    { bakend: 'ssh' },
    { send: 'x', consume: 1, reset: true },
  ]
  for (const answer of answers) {
    const { engine } = await withHandler(() => answer as HandshakeAnswer)
    const client = engine.accept()
    client.send('a')
    assert.equal(client.end?.code, 'policy-error')
    assert.equal(client.text, '')
  }
})

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** Takes `length` bytes, says its name, and is done with the next `more` bytes. */
function speaker(name: string, length: number, limit: number) {
  let spoke = false
  return defineHandshake({
    name,
    limit,
    onBytes(_conn, bytes, { full }) {
      if (bytes.length < length) {
        assert.equal(full, false)
        return 'more'
      }
      if (!spoke) {
        spoke = true
        return { send: name, consume: length }
      }
      return { consume: length }
    },
  })
}

test('a handler behind one that sent and consumed has its whole limit', async () => {
  const input = '11112222333334444455555payload'
  for (let cut = 0; cut <= input.length; cut++) {
    const { engine } = await harness({
      backends,
      frontends: web({
        handshakes: [
          speaker('a', 4, 4),
          speaker('b', 5, 5),
          defineHandshake({
            name: 'c',
            limit: 5,
            onBytes: (_c, b) => (b.length < 5 ? 'more' : { consume: 5 }),
          }),
        ],
      }),
    })
    const client = engine.accept()
    for (const part of [input.slice(0, cut), input.slice(cut)]) if (part) client.send(part)
    assert.equal(client.text, 'ab', `cut at ${cut}`)
    assert.equal(client.mode, 'forward')
    assert.equal(text(client.serverReceived), 'payload')
  }
})

test('the limits of handlers that follow each other do not add up to one', async () => {
  const most = 65_536
  const half = defineHandshake({
    name: 'half',
    limit: most,
    onBytes: (_conn, bytes) => (bytes.length < 40_000 ? 'more' : { consume: 40_000 }),
  })
  const { engine } = await harness({ backends, frontends: web({ handshakes: [half, half, half] }) })
  const client = engine.accept()
  const piece = 'x'.repeat(10_000)
  for (let i = 0; i < 12; i++) client.send(piece)
  client.send('end')
  assert.equal(client.mode, 'forward')
  assert.equal(text(client.serverReceived), 'end')
})

test('a handler may send and be done, without another byte', async () => {
  const { engine, sessions } = await withHandler((_conn, bytes) =>
    bytes.length < 4
      ? 'more'
      : { send: '+OK\n', done: true, consume: 4, backend: 'ssh', vars: { user: 'a' } },
  )
  const client = engine.accept()
  client.send('AUTH')
  assert.equal(client.text, '+OK\n')
  assert.equal(client.mode, 'forward')
  client.send('payload')
  assert.equal(text(client.serverReceived), 'payload')
  client.reset()
  assert.equal(sessions()[0]?.backend, 'ssh')
})

test('one that is done with a word leaves the bytes to the next', async () => {
  const seen: string[] = []
  const { engine } = await harness({
    backends,
    frontends: web({
      handshakes: [
        defineHandshake({ name: 'a', onBytes: () => ({ send: 'hello ', done: true }) }),
        defineHandshake({
          name: 'b',
          onBytes: (_conn, bytes) => {
            seen.push(text(bytes))
            return { send: 'world', done: true, consume: bytes.length }
          },
        }),
      ],
    }),
  })
  const client = engine.accept()
  client.send('hi')
  assert.equal(client.text, 'hello world')
  assert.deepEqual(seen, ['hi'])
  assert.equal(client.mode, 'forward')
})

test('what a handler was shown stays as it was while more is shown', async () => {
  const shown: Uint8Array[] = []
  const { engine } = await withHandler((_conn, bytes) => {
    shown.push(bytes)
    return 'more'
  })
  const client = engine.accept()
  const all = 'abcdefghijklmnopqrstuvwxyz'
  for (const byte of all) client.send(byte)
  assert.deepEqual(
    shown.map(text),
    [...all].map((_, i) => all.slice(0, i + 1)),
  )
  // Shared, not copied again for each byte.
  assert.ok(new Set(shown.map(({ buffer }) => buffer)).size < 8)
})
