import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeTlv } from '#sluice/codec/proxy/tlv.js'
import type { Connection } from '#sluice/policy/types.js'
import {
  accept,
  consume,
  expectProxy,
  type FirstBytes,
  type HandshakeRule,
  type HandshakeRuleOptions,
  more,
  prepend,
  type RuleAnswer,
  reject,
  reply,
  send,
  setVar,
  useBackend,
} from '#sluice/policy.js'
import { settle } from '#sluice/testing/clock.js'
import { Code, Handshake } from '#sluice/wire/wire.js'
import { harness, web } from '../support/harness.js'

const backends = {
  app: { servers: { a: '127.0.0.1:9001' } },
  ssh: { servers: { b: '127.0.0.1:9002' } },
}

type Run = (conn: FirstBytes) => RuleAnswer | Promise<RuleAnswer>

/** A proxy with one handshake rule. */
function withRule(run: Run, options: Omit<HandshakeRuleOptions, 'name' | 'run'> = {}) {
  return withRules([{ name: 'detect', run, ...options }])
}

function withRules(handshake: HandshakeRule[], more: object = {}) {
  return harness({ backends, frontends: web({ rules: { handshake }, ...more }) })
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

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

test('a rule sees bytes as they come, chooses a backend and consumes', async () => {
  const seen: string[] = []
  const { engine, sessions } = await withRule(({ bytes }) => {
    seen.push(text(bytes))
    if (bytes.length < 5) return more()
    return [consume(2), useBackend('ssh'), setVar('kind', 'ssh')]
  })
  const client = engine.accept()
  for (const byte of 'SSH-2.0') client.send(byte)
  assert.deepEqual(seen, ['S', 'SS', 'SSH', 'SSH-', 'SSH-2'])
  assert.equal(text(client.serverReceived), 'H-2.0')
  client.reset()
  assert.equal(sessions()[0]?.backend, 'ssh')
  assert.equal(sessions()[0]?.rule, 'detect')
})

test('what answers at once on the first bytes costs one question and one look at them', async () => {
  const { engine } = await harness({
    backends,
    frontends: web({
      rules: {
        connection: [() => undefined],
        handshake: [(conn: FirstBytes) => (conn.bytes[0] === 0x41 ? undefined : reject())],
        session: [() => undefined],
      },
    }),
  })
  const client = engine.accept()
  client.send('A')
  assert.equal(client.mode, 'forward')
  assert.deepEqual(
    engine.calls.map(({ name }) => name),
    ['inspect', 'connect'],
  )
})

test('rules run one after another, each on what the one before left', async () => {
  const seen: string[] = []
  const taking =
    (name: string, length: number): Run =>
    ({ bytes }) => {
      if (bytes.length < length) return more()
      seen.push(`${name}:${text(bytes)}`)
      return consume(length)
    }
  const { engine } = await withRules([taking('first', 2), taking('second', 3)])
  const client = engine.accept()
  client.send('aabbbpayload')
  assert.deepEqual(seen, ['first:aabbbpayload', 'second:bbbpayload'])
  assert.equal(text(client.serverReceived), 'payload')
  const crumbs = engine.accept()
  for (const byte of 'aabbbpay') crumbs.send(byte)
  assert.equal(text(crumbs.serverReceived), 'pay')
})

test('reply and reject of a rule', async () => {
  const { engine } = await withRule((conn) =>
    conn.bytes[0] === 0x3f ? reply(`hello ${conn.src}\n`) : reject({ reset: true }),
  )
  const asked = engine.accept()
  asked.send('?')
  assert.equal(asked.text, 'hello 192.0.2.1\n')
  assert.deepEqual(asked.end, { by: 'policy', phase: 'handshake', code: 'replied' })
  const rejected = engine.accept()
  rejected.send('!')
  assert.equal(rejected.resetReceived, true)
  assert.deepEqual(rejected.end, { by: 'policy', phase: 'handshake', code: 'rejected' })
})

test('a rule that wants more than its limit, or more after the FIN, ends the connection', async () => {
  const seen: unknown[] = []
  const { engine } = await withRule(
    (conn) => {
      seen.push([conn.bytes.length, conn.last])
      return more()
    },
    { limit: 4 },
  )
  const full = engine.accept()
  full.send('abcdef')
  assert.deepEqual(full.end, { by: 'policy', phase: 'handshake', code: 'handshake-limit' })
  const finished = engine.accept()
  finished.send('ab')
  finished.fin()
  assert.deepEqual(finished.end, { by: 'client', phase: 'handshake', code: 'aborted' })
  assert.deepEqual(seen, [
    [4, true],
    [2, false],
    [2, true],
  ])
})

test('at its limit it is the limit, whether the FIN is there already or not', async () => {
  const { engine } = await withRule(async () => more(), { limit: 4 })
  const client = engine.accept()
  client.send('abc')
  client.send('d')
  client.fin()
  await settle()
  assert.deepEqual(client.end, { by: 'policy', phase: 'handshake', code: 'handshake-limit' })
})

test('one that opens leaves the bytes to the next, at its limit, at the FIN, at its deadline', async () => {
  const seen: string[] = []
  const { engine, clock } = await withRules([
    { name: 'never', run: () => more(), limit: 4, deadline: '3s', onError: 'open' },
    ({ bytes }) => {
      seen.push(text(bytes))
      return useBackend('ssh')
    },
  ])
  const full = engine.accept()
  full.send('abcdef')
  assert.equal(text(full.serverReceived), 'abcdef')
  const finished = engine.accept()
  finished.send('ab')
  finished.fin()
  assert.equal(text(finished.serverReceived), 'ab')
  assert.equal(finished.serverFinReceived, true)
  const silent = engine.accept()
  clock.advance('2999ms')
  assert.equal(silent.mode, 'inspect')
  clock.advance('1ms')
  assert.equal(silent.mode, 'forward')
  // The next one is not made to wait for bytes that did not come.
  assert.deepEqual(seen, ['abcd', 'ab', ''])
})

test('at its deadline a rule is called a last time', async () => {
  const seen: unknown[] = []
  const run: Run = (conn) => {
    seen.push([text(conn.bytes), conn.last])
    return conn.last && conn.bytes.length === 0 ? useBackend('ssh') : more()
  }
  const { engine, clock, sessions } = await withRule(run, { deadline: '3s' })
  const silent = engine.accept()
  const slow = engine.accept()
  slow.send('x')
  clock.advance('2999ms')
  assert.equal(slow.ended, false)
  clock.advance('1ms')
  assert.deepEqual(slow.end, { by: 'timeout', phase: 'handshake', code: 'handshake-timeout' })
  assert.equal(sessions()[0]?.rule, 'detect')
  assert.equal(silent.mode, 'forward')
  assert.deepEqual(seen.sort(), [
    ['', true],
    ['x', false],
    ['x', true],
  ])
})

test('what failing means is the onError of the frontend', async () => {
  const { engine, clock } = await withRules([() => more()], { onError: 'open' })
  const client = engine.accept()
  client.send('x')
  clock.advance('5000ms')
  assert.equal(text(client.serverReceived), 'x')
})

test('an asynchronous rule keeps its bytes, and what came meanwhile is shown next', async () => {
  const seen: string[] = []
  const releases: (() => void)[] = []
  const { engine } = await withRule(async (conn) => {
    const before = text(conn.bytes)
    await new Promise<void>((resolve) => {
      releases.push(resolve)
    })
    seen.push(`${before}=${text(conn.bytes)}`)
    return conn.bytes.length < 4 ? more() : undefined
  })
  const client = engine.accept()
  client.send('ab')
  client.send('cd')
  releases[0]?.()
  await settle()
  releases[1]?.()
  await settle()
  assert.deepEqual(seen, ['ab=ab', 'abcd=abcd'])
  assert.equal(text(client.serverReceived), 'abcd')
})

test('a rule that never answers is late; its answer has no effect then', async () => {
  let release: ((answer: RuleAnswer) => void) | undefined
  const { engine, clock } = await withRule(
    () =>
      new Promise<RuleAnswer>((resolve) => {
        release = resolve
      }),
    { deadline: '1s' },
  )
  const client = engine.accept()
  client.send('x')
  await clock.advanceAsync('1000ms')
  assert.deepEqual(client.end, { by: 'timeout', phase: 'handshake', code: 'verdict-timeout' })
  const calls = engine.calls.length
  release?.(undefined)
  await settle()
  assert.equal(engine.calls.length, calls)
})

test('a rule that is late and opens leaves the bytes to the next', async () => {
  const { engine, clock } = await withRules([
    { name: 'stuck', run: () => new Promise(() => {}), deadline: '1s', onError: 'open' },
    () => consume(1),
  ])
  const client = engine.accept()
  client.send('ab')
  await clock.advanceAsync('1000ms')
  assert.equal(text(client.serverReceived), 'b')
})

test('a rule that throws, rejects or answers nonsense is logged with its name', async () => {
  const answers: (() => unknown)[] = [
    () => {
      throw new Error('boom')
    },
    () => Promise.reject(new Error('boom')),
    () => 'done',
    () => ({ consume: 99 }),
    () => consume(99),
    () => consume(-1),
    () => consume(0.5),
    () => [consume(1), consume(1)],
    () => send('x'.repeat(16_385)),
    () => send('x', { consume: 2 }),
    () => ({ kind: 'send', content: 7 }),
    () => prepend('x'.repeat(16_385)),
    () => [prepend('x'.repeat(10_000)), prepend('x'.repeat(10_000))],
    () => ({ kind: 'startTls' }),
    () => ({ kind: 'expectProxy' }),
    () => useBackend('absent'),
    () =>
      Object.defineProperty({}, 'then', {
        get() {
          throw new Error('no promise')
        },
      }),
  ]
  let answer: () => unknown = () => undefined
  const { engine, lines, clock } = await withRule(() => answer() as RuleAnswer)
  for (answer of answers) {
    // Lines about failures are held in a burst.
    clock.advance('60000ms')
    const client = engine.accept()
    client.send('x')
    await settle()
    const said = String(answer)
    assert.deepEqual(client.end, { by: 'policy', phase: 'handshake', code: 'policy-error' }, said)
    assert.equal(client.text, '', said)
  }
  assert.equal(lines.filter(({ err, rule }) => err && rule === 'detect').length, answers.length)
  assert.deepEqual(engine.faults, [])
})

test('the verdicts on bytes are for handshake rules', async () => {
  for (const verdict of [consume(0), send('x'), prepend('x'), more(), { kind: 'startTls' }]) {
    const { engine } = await harness({
      backends,
      frontends: web({ rules: { session: [() => verdict as RuleAnswer] } }),
    })
    assert.equal(engine.accept().end?.code, 'policy-error')
  }
})

test('stages in their order, on the same connection', async () => {
  const order: string[] = []
  const { engine } = await harness({
    frontends: web({
      rules: {
        session: [() => void order.push('session')],
        handshake: [() => void order.push('handshake')],
        connection: [() => void order.push('connection')],
      },
    }),
  })
  const client = engine.accept()
  client.send('x')
  assert.deepEqual(order, ['connection', 'handshake', 'session'])
  assert.equal(client.mode, 'forward')
})

test('a rule may answer and go on, within the same deadline', async () => {
  const seen: string[] = []
  const { engine, clock } = await withRule(
    ({ bytes }) => {
      const shown = text(bytes)
      seen.push(shown)
      if (shown.startsWith('?')) return [send('no\n', { consume: 1 }), more()]
      return shown.length < 3 ? more() : consume(1)
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
  assert.equal(text(client.serverReceived), 'bc')
  const slow = engine.accept()
  slow.send('?')
  clock.advance('2000ms')
  slow.send('?')
  clock.advance('1000ms')
  assert.equal(slow.end?.code, 'handshake-timeout')
  const gone = engine.accept()
  gone.send('?')
  gone.fin()
  assert.deepEqual(gone.end, { by: 'client', phase: 'handshake', code: 'aborted' })
})

test('an asynchronous rule may send too, and misses nothing that came meanwhile', async () => {
  const seen: string[] = []
  const { engine } = await withRule(async ({ bytes }) => {
    const shown = text(bytes)
    await settle()
    seen.push(shown)
    return shown.startsWith('?') ? [send('no', { consume: 1 }), more()] : undefined
  })
  const client = engine.accept()
  client.send('?')
  client.send('abc')
  for (let i = 0; i < 4; i++) await settle()
  assert.deepEqual(seen, ['?', 'abc'])
  assert.equal(client.text, 'no')
  assert.equal(text(client.serverReceived), 'abc')
})

/** Takes `length` bytes, says its name, and is through with `length` more. */
function speaker(name: string, length: number): HandshakeRule {
  return {
    name,
    limit: length,
    run({ bytes, vars }) {
      if (bytes.length < length) return more()
      if (vars[name]) return consume(length)
      vars[name] = true
      return [send(name, { consume: length }), more()]
    },
  }
}

test('a rule behind one that sent and consumed has its whole limit', async () => {
  const input = '11112222333334444455555payload'
  for (let cut = 0; cut <= input.length; cut++) {
    const { engine } = await withRules([
      speaker('a', 4),
      speaker('b', 5),
      { name: 'c', limit: 5, run: ({ bytes }) => (bytes.length < 5 ? more() : consume(5)) },
    ])
    const client = engine.accept()
    for (const part of [input.slice(0, cut), input.slice(cut)]) if (part) client.send(part)
    assert.equal(client.text, 'ab', `cut at ${cut}`)
    assert.equal(client.mode, 'forward')
    assert.equal(text(client.serverReceived), 'payload')
  }
})

test('the limits of rules that follow each other do not add up to one', async () => {
  const half: HandshakeRule = {
    name: 'half',
    limit: '64kB',
    run: ({ bytes }) => (bytes.length < 40_000 ? more() : consume(40_000)),
  }
  const { engine } = await withRules([half, half, half])
  const client = engine.accept()
  const piece = 'x'.repeat(10_000)
  for (let i = 0; i < 12; i++) client.send(piece)
  client.send('end')
  assert.equal(client.mode, 'forward')
  assert.equal(text(client.serverReceived), 'end')
})

test('a rule may send and be through, without another byte', async () => {
  const { engine, sessions } = await withRule(({ bytes }) =>
    bytes.length < 4 ? more() : [send('+OK\n', { consume: 4 }), useBackend('ssh')],
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

test('one that is through with a word leaves the bytes to the next', async () => {
  const seen: string[] = []
  const { engine } = await withRules([
    () => send('hello '),
    ({ bytes }) => {
      seen.push(text(bytes))
      return send('world', { consume: bytes.length })
    },
  ])
  const client = engine.accept()
  client.send('hi')
  assert.equal(client.text, 'hello world')
  assert.deepEqual(seen, ['hi'])
  assert.equal(client.mode, 'forward')
})

test('a greeting: by a rule that speaks first, or by a verdict as it is', async () => {
  const seen: string[] = []
  const line: Run = ({ bytes }) => {
    seen.push(text(bytes))
    if (bytes.length === 0) return [send('220 hi\r\n'), more()]
    const end = bytes.indexOf(0x0a)
    return end < 0 ? more() : consume(end + 1)
  }
  const asked = await withRules([{ name: 'greet', speaksFirst: true, run: line }])
  const client = asked.engine.accept()
  assert.equal(client.text, '220 hi\r\n')
  client.send('EHLO')
  client.send('\nrest')
  assert.deepEqual(seen, ['', 'EHLO', 'EHLO\nrest'])
  assert.equal(text(client.serverReceived), 'rest')

  const constant = await withRules([send('220 hi\r\n'), ({ bytes }) => consume(bytes.length)])
  const other = constant.engine.accept()
  assert.equal(other.text, '220 hi\r\n')
  assert.equal(other.mode, 'inspect')
  other.send('EHLO\n')
  assert.equal(text(other.serverReceived), '')
  assert.equal(other.mode, 'forward')
})

test('verdicts as they are: those that take bytes wait for them, the others for nothing', async () => {
  const { engine, clock } = await withRules([
    useBackend('ssh'),
    consume(4),
    prepend('new '),
    setVar('a', 1),
  ])
  const client = engine.accept()
  client.send('ol')
  assert.equal(client.mode, 'inspect')
  client.send('d stuff')
  assert.equal(text(client.serverReceived), 'new stuff')
  const short = engine.accept()
  short.send('old')
  short.fin()
  assert.deepEqual(short.end, { by: 'client', phase: 'handshake', code: 'aborted' })
  const slow = engine.accept()
  slow.send('old')
  clock.advance('5000ms')
  assert.deepEqual(slow.end, { by: 'timeout', phase: 'handshake', code: 'handshake-timeout' })
  const through = await withRules([useBackend('ssh'), prepend('hello ')])
  const silent = through.engine.accept()
  assert.equal(silent.mode, 'forward')
  assert.equal(text(silent.serverReceived), 'hello ')
})

test('prepended bytes stand where the client’s next would, for rules and for the server', async () => {
  const input = 'AUTH secret\nGET\n'
  for (let cut = 1; cut < input.length; cut++) {
    const seen: string[] = []
    const { engine } = await withRules([
      ({ bytes }) => {
        const end = bytes.indexOf(0x0a)
        if (end < 0) return more()
        return [consume(end + 1), prepend('AUTH server\n'), send('+OK\n')]
      },
      ({ bytes }) => {
        seen.push(text(bytes))
        return text(bytes).endsWith('GET\n') ? [consume(5), prepend('HELO ')] : more()
      },
    ])
    const client = engine.accept()
    client.send(input.slice(0, cut))
    client.send(input.slice(cut))
    assert.equal(client.text, '+OK\n')
    assert.equal(text(client.serverReceived), 'HELO server\nGET\n', `cut at ${cut}`)
    assert.equal(seen.at(-1), 'AUTH server\nGET\n')
    client.send('more')
    assert.equal(text(client.serverReceived), 'HELO server\nGET\nmore')
  }
})

test('accept ends the list', async () => {
  const { engine } = await withRules([() => [consume(1), accept()], () => reject()])
  const client = engine.accept()
  client.send('ab')
  assert.equal(text(client.serverReceived), 'b')
})

test('what was taken is taken once, however often the connect is tried', async () => {
  const { engine, clock } = await withRules([() => consume(2)])
  engine.onConnect = (_client, route) =>
    engine.calls.filter(({ name }) => name === 'connect').length < 2 && route >= 0
      ? { code: Code.REFUSED }
      : 'ok'
  const client = engine.accept()
  client.send('abcd')
  clock.advance('5000ms')
  assert.equal(text(client.serverReceived), 'cd')
  const taken = engine.calls.filter(({ name }) => name === 'connect').map(({ args }) => args[2])
  assert.deepEqual(taken, [2, 0])
})

test('a client that leaves while its bytes are looked at is logged there', async () => {
  const { engine, sessions } = await harness({
    backends,
    frontends: web({ rules: { connection: [() => undefined], handshake: [() => more()] } }),
  })
  engine.accept().reset()
  assert.equal(sessions()[0]?.by, 'client')
  assert.equal(sessions()[0]?.phase, 'handshake')
})

test('what a rule was shown stays as it was while more is shown', async () => {
  const shown: Uint8Array[] = []
  const { engine } = await withRule(({ bytes }) => {
    shown.push(bytes)
    return more()
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
