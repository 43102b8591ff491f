import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '#sluice/policy/types.js'
import {
  accept,
  more,
  priority,
  reject,
  reply,
  setVar,
  tarpit,
  track,
  useBackend,
} from '#sluice/policy.js'
import { settle } from '#sluice/testing/clock.js'
import { harness, web } from '../../support/harness.js'

const perSource = {
  perSource: {
    key: 'ip' as const,
    size: 100,
    store: {
      connCur: true,
      connCnt: true,
      connRate: '10s' as const,
      sessCnt: true,
      bytesInCnt: true,
      bytesOutCnt: true,
    },
  },
}

test('rules run in order; undefined goes on and accept ends the ruleset', async () => {
  const ran: string[] = []
  const { engine, sessions } = await harness({
    frontends: web({
      rules: {
        connection: [
          function first() {
            ran.push('first')
          },
          function second() {
            ran.push('second')
            return accept()
          },
          function third() {
            ran.push('third')
            return reject()
          },
        ],
      },
    }),
  })
  const client = engine.accept()
  assert.deepEqual(ran, ['first', 'second'])
  assert.equal(client.mode, 'forward')
  client.fin()
  client.serverFin()
  assert.equal(sessions()[0]?.rule, 'second')
})

test('with TCP_RULES alone the connect follows in the same turn, without another event', async () => {
  const { engine } = await harness({
    frontends: web({ rules: { connection: [() => undefined] } }),
  })
  engine.accept()
  assert.deepEqual(
    engine.calls.map(({ name }) => name),
    ['connect'],
  )
})

test('a frontend without policy is asked for the session only', async () => {
  const { engine } = await harness({})
  const [spec] = engine.listeners.values()
  assert.equal(spec?.ask, 64)
  assert.equal(spec?.handshakes, 64)
})

test('reject closes, with reset by RST', async () => {
  const { engine, sessions } = await harness({
    frontends: web({
      rules: {
        connection: [
          function blocked(conn: Connection) {
            if (conn.src === '192.0.2.66') return reject()
            if (conn.src === '192.0.2.67') return reject({ reset: true })
            return undefined
          },
        ],
      },
    }),
  })
  const closed = engine.accept({ src: '192.0.2.66' })
  const reset = engine.accept({ src: '192.0.2.67' })
  const served = engine.accept({ src: '192.0.2.68' })
  assert.deepEqual(closed.end, { by: 'policy', phase: 'tcp-rules', code: 'rejected' })
  assert.equal(closed.resetReceived, false)
  assert.equal(reset.resetReceived, true)
  assert.equal(served.mode, 'forward')
  assert.deepEqual(
    sessions().map(({ rule, src, code }) => ({ rule, src, code })),
    [
      { rule: 'blocked', src: '192.0.2.66', code: 'rejected' },
      { rule: 'blocked', src: '192.0.2.67', code: 'rejected' },
    ],
  )
})

test('tarpit holds, reply sends, and both end the connection', async () => {
  const { engine, clock } = await harness({
    frontends: web({
      rules: {
        connection: [(conn: Connection) => (conn.src === '192.0.2.1' ? tarpit('2s') : undefined)],
        session: [reply('go away\n')],
      },
    }),
  })
  const held = engine.accept({ src: '192.0.2.1' })
  const told = engine.accept({ src: '192.0.2.2' })
  assert.equal(told.text, 'go away\n')
  assert.deepEqual(told.end, { by: 'policy', phase: 'accept-session', code: 'replied' })
  clock.advance('1999ms')
  assert.equal(held.ended, false)
  clock.advance('1ms')
  assert.deepEqual(held.end, { by: 'policy', phase: 'tcp-rules', code: 'tarpit' })
})

test('several verdicts in one answer, variables and the backend', async () => {
  let seen: unknown
  const { engine, sessions } = await harness({
    backends: {
      app: { servers: { a: '127.0.0.1:9001' } },
      other: { servers: { b: '127.0.0.1:9002' } },
    },
    frontends: web({
      rules: {
        connection: [() => [setVar('constructor', 'x'), setVar('tier', 3)]],
        session: [
          function route(conn: Connection) {
            seen = [conn.vars.tier, conn.vars.constructor]
            return [priority(5), useBackend('other')]
          },
        ],
      },
    }),
  })
  const client = engine.accept()
  client.reset()
  assert.deepEqual(seen, [3, 'x'])
  assert.equal(sessions()[0]?.backend, 'other')
  assert.equal(sessions()[0]?.server, 'b')
  assert.equal(sessions()[0]?.rule, 'route')
})

test('tracked counters count connections, sessions and bytes, and are released at the end', async () => {
  const seen: number[] = []
  const { engine, proxy } = await harness({
    tables: perSource,
    frontends: web({
      rules: {
        connection: [
          track('sc0', (conn) => conn.src, 'perSource'),
          (conn: Connection) => {
            seen.push(conn.sc0.connCur, conn.sc0.connCnt, conn.sc0.connRate, conn.sc0.sessCnt)
            return conn.sc0.connCur > 2 ? reject() : undefined
          },
        ],
      },
    }),
  })
  const a = engine.accept()
  const b = engine.accept()
  const c = engine.accept()
  assert.deepEqual(seen, [1, 1, 1, 0, 2, 2, 2, 1, 3, 3, 3, 2])
  assert.equal(c.ended, true)
  a.send('hello')
  a.serverSend('hello you')
  a.fin()
  a.serverFin()
  b.reset()
  const kept = proxy.tables.perSource?.get('192.0.2.1')
  assert.equal(kept?.connCur, 0)
  assert.equal(kept?.connCnt, 3)
  assert.equal(kept?.sessCnt, 2)
  assert.equal(kept?.bytesInCnt, 5)
  assert.equal(kept?.bytesOutCnt, 9)
})

test('the first track of a counter wins; an undefined key tracks nothing', async () => {
  let key: unknown
  let tracked: unknown
  const { engine } = await harness({
    tables: perSource,
    frontends: web({
      rules: {
        connection: [
          track('sc0', undefined, 'perSource'),
          track('sc0', '198.51.100.1', 'perSource'),
          track('sc0', '198.51.100.2', 'perSource'),
          (conn: Connection) => {
            key = conn.sc0.key
            tracked = conn.sc1.tracked
          },
        ],
      },
    }),
  })
  engine.accept()
  assert.equal(key, '198.51.100.1')
  assert.equal(tracked, false)
})

test('a rule that throws is logged with its name; its frontend closes', async () => {
  const { engine, lines, proxy } = await harness({
    frontends: web({
      rules: {
        connection: [
          function broken() {
            throw new Error('boom')
          },
        ],
      },
    }),
  })
  const client = engine.accept()
  assert.deepEqual(client.end, { by: 'policy', phase: 'tcp-rules', code: 'policy-error' })
  const line = lines.find(({ rule, level }) => rule === 'broken' && level === 50)
  assert.equal((line?.err as Error | undefined)?.message, 'boom')
  assert.equal(proxy.stats().frontends.web?.policyErrors, 1)
  assert.deepEqual(engine.faults, [])
})

test('with onError open a failed rule goes on; its own onError overrides that', async () => {
  const broken = () => {
    throw new Error('boom')
  }
  const { engine } = await harness({
    frontends: {
      open: {
        bind: '127.0.0.1:0',
        backend: 'app',
        onError: 'open',
        rules: { connection: [broken] },
      },
      strict: {
        bind: '127.0.0.1:0',
        backend: 'app',
        onError: 'open',
        rules: { connection: [{ name: 'strict', run: broken, onError: 'close' }] },
      },
    },
  })
  assert.equal(engine.accept({ listener: 0 }).mode, 'forward')
  assert.equal(engine.accept({ listener: 1 }).end?.code, 'policy-error')
})

test('nonsense is a policy error, whatever shape it has', async () => {
  const nonsense: unknown[] = [
    null,
    false,
    'reject',
    7,
    {},
    { kind: 'nope' },
    [null],
    { kind: 'tarpit', duration: 5_000 },
    { kind: 'reply', content: 5 },
    { kind: 'reply', text: 'text' },
    reply(new Uint8Array(2 ** 20 + 1)),
    { kind: 'track', counter: 'sc0', key: Promise.resolve('x'), table: 'perSource' },
    { kind: 'track', counter: 'sc0', key: null, table: 'perSource' },
    { kind: 'useBackend', backend: 'absent' },
    { kind: 'track', counter: 'sc9', key: 'x', table: 'perSource' },
    { kind: 'track', counter: 'sc0', key: 'x', table: 'absent' },
    { kind: 'priority', value: Number.NaN },
    more(),
    Object.defineProperty({}, 'then', {
      get() {
        throw new Error('no promise')
      },
    }),
  ]
  let answer: unknown
  const { engine } = await harness({
    tables: perSource,
    frontends: web({ rules: { connection: [() => answer as undefined] } }),
  })
  for (answer of nonsense) {
    assert.equal(engine.accept().end?.code, 'policy-error', JSON.stringify(answer))
  }
})

test('a word that is no verdict is told with what is one', async () => {
  const { engine, lines } = await harness({
    frontends: web({ rules: { connection: [() => 'accept' as unknown as undefined] } }),
  })
  engine.accept()
  const line = lines.find(({ level }) => level === 50)
  assert.equal(
    (line?.err as Error | undefined)?.message,
    "'accept' is no verdict: a rule answers with verdicts such as accept(), or nothing",
  )
})

test('an asynchronous rule suspends its connection only', async () => {
  let release: ((verdict: undefined) => void) | undefined
  const { engine } = await harness({
    frontends: web({
      rules: {
        connection: [
          (conn: Connection) =>
            conn.src === '192.0.2.9'
              ? new Promise<undefined>((resolve) => {
                  release = resolve
                })
              : undefined,
          (conn: Connection) => (conn.vars.late ? reject() : undefined),
        ],
      },
    }),
  })
  const slow = engine.accept({ src: '192.0.2.9' })
  const fast = engine.accept()
  assert.equal(fast.mode, 'forward')
  assert.equal(slow.asking, 8)
  release?.(undefined)
  await settle()
  assert.equal(slow.mode, 'forward')
})

test('a rule that never answers takes the default at its deadline; its late answer is ignored', async () => {
  let release: ((verdict: ReturnType<typeof accept>) => void) | undefined
  const { engine, clock, lines, proxy } = await harness({
    global: { verdictTimeout: '1s' },
    frontends: web({
      rules: {
        connection: [
          function asleep() {
            return new Promise<ReturnType<typeof accept>>((resolve) => {
              release = resolve
            })
          },
        ],
      },
    }),
  })
  const client = engine.accept()
  await clock.advanceAsync('999ms')
  assert.equal(client.ended, false)
  await clock.advanceAsync('1ms')
  assert.deepEqual(client.end, { by: 'timeout', phase: 'tcp-rules', code: 'verdict-timeout' })
  assert.ok(lines.some(({ rule, msg }) => rule === 'asleep' && /in time/.test(msg)))
  const calls = engine.calls.length
  release?.(accept())
  await settle()
  assert.equal(engine.calls.length, calls)
  assert.equal(proxy.stats().frontends.web?.lateVerdicts, 1)
})

test('rules of one answer share the verdict time-out; an explicit deadline comes on top', async () => {
  const wait = (clock: { after(ms: number, fn: () => void): unknown }, ms: number) =>
    new Promise<undefined>((resolve) => void clock.after(ms, () => resolve(undefined)))
  let first: Promise<undefined> | undefined
  const h = await harness({
    global: { verdictTimeout: '1s' },
    frontends: web({
      rules: {
        connection: [
          () => wait(h.clock, 600),
          { name: 'patient', deadline: '3s', run: () => wait(h.clock, 2000) },
          () => {
            first = wait(h.clock, 600)
            return first
          },
        ],
      },
    }),
  })
  const client = h.engine.accept()
  await h.clock.advanceAsync('2600ms')
  assert.ok(first)
  assert.equal(client.ended, false)
  await h.clock.advanceAsync('1400ms')
  // 600 + 2000 + 600 = 3200, within 1000 + 3000.
  assert.equal(client.mode, 'forward')
})

test('a rejected promise is a policy error', async () => {
  const { engine, lines } = await harness({
    frontends: web({
      rules: {
        session: [
          async function lookup() {
            throw new Error('database gone')
          },
        ],
      },
    }),
  })
  const client = engine.accept()
  await settle()
  assert.deepEqual(client.end, { by: 'policy', phase: 'accept-session', code: 'policy-error' })
  assert.ok(lines.some(({ rule }) => rule === 'lookup'))
})

test('a thenable that answers twice is heard once', async () => {
  const { engine } = await harness({
    frontends: web({
      rules: {
        connection: [
          () =>
            ({
              // biome-ignore lint/suspicious/noThenProperty: a thenable that misbehaves
              then(resolve: (value: unknown) => void) {
                resolve(undefined)
                resolve(reject())
              },
            }) as unknown as Promise<undefined>,
        ],
      },
    }),
  })
  const client = engine.accept()
  await settle()
  assert.equal(client.mode, 'forward')
  assert.equal(engine.calls.filter(({ name }) => name === 'connect').length, 1)
})

test('the answer for a connection that has gone is ignored, and its signal aborts', async () => {
  let release: ((verdict: undefined) => void) | undefined
  let signal: AbortSignal | undefined
  const { engine } = await harness({
    frontends: web({
      rules: {
        connection: [
          (conn: Connection) => {
            signal = conn.signal
            return new Promise<undefined>((resolve) => {
              release = resolve
            })
          },
        ],
      },
    }),
  })
  const client = engine.accept()
  assert.equal(signal?.aborted, false)
  client.reset()
  assert.equal(signal?.aborted, true)
  const calls = engine.calls.length
  release?.(undefined)
  await settle()
  assert.equal(engine.calls.length, calls)
})

test('a connection that policy keeps still has its addresses after the end', async () => {
  let kept: Connection | undefined
  const { engine } = await harness({
    frontends: web({
      rules: {
        connection: [
          (conn: Connection) => {
            kept ??= conn
            conn.signal.throwIfAborted()
          },
        ],
      },
    }),
  })
  engine.accept({ src: '192.0.2.5', srcPort: 1234 }).reset()
  // The slot is somebody else's now.
  engine.accept({ src: '198.51.100.9' })
  assert.equal(kept?.src, '192.0.2.5')
  assert.equal(kept?.srcPort, 1234)
  assert.equal(kept?.dst, '192.0.2.254')
})

test('a counter that the table does not store fails the rule, and is told once', async () => {
  const uses: ((conn: Connection) => unknown)[] = [
    ({ sc0 }) => sc0.connRate,
    ({ sc0 }) => sc0.gpc1++,
    ({ sc0 }) => {
      sc0.gpt0 = 1
    },
    ({ sc0 }) => sc0.serverId,
  ]
  for (const [i, name] of ['connRate', 'gpc1', 'gpt0', 'serverId'].entries()) {
    const { engine, lines, proxy } = await harness({
      tables: { few: { key: 'ip', size: 10, store: { connCur: true } } },
      frontends: web({
        rules: {
          connection: [
            track('sc0', (conn) => conn.src, 'few'),
            function limit(conn: Connection) {
              uses[i]?.(conn)
            },
          ],
        },
      }),
    })
    for (let client = 0; client < 4; client++) {
      assert.deepEqual(engine.accept().end, {
        by: 'policy',
        phase: 'tcp-rules',
        code: 'policy-error',
      })
    }
    const told = lines.filter(({ level }) => level === 50)
    assert.equal(told.length, 1)
    assert.equal(told[0]?.rule, 'limit')
    assert.equal(
      (told[0]?.err as Error | undefined)?.message,
      `table 'few' does not store ${name}: add it to 'tables.few.store'.`,
    )
    assert.equal(proxy.stats().frontends.web?.policyErrors, 4)
  }
})

test('what is stored as a rate alone may be counted, and reads 0 until tracked', async () => {
  const rates: number[] = []
  const { engine } = await harness({
    tables: { few: { key: 'ip', size: 10, store: { gpc0Rate: '10s' } } },
    frontends: web({
      rules: {
        connection: [
          (conn: Connection) => {
            assert.deepEqual([conn.sc0.connRate, conn.sc0.gpc0, conn.sc0.tracked], [0, 0, false])
          },
          track('sc0', (conn) => conn.src, 'few'),
          ({ sc0 }: Connection) => {
            sc0.gpc0++
            rates.push(sc0.gpc0Rate)
          },
        ],
      },
    }),
  })
  for (let client = 0; client < 3; client++) assert.equal(engine.accept().mode, 'forward')
  assert.deepEqual(rates, [1, 2, 3])
})

test('a tracked entry is read and written behind the end of its connection', async () => {
  const ended: Connection[] = []
  const { engine, proxy, clock } = await harness({
    tables: { cache: { key: 'ip', size: 2, expire: '1m', store: { gpt0: true, connCur: true } } },
    frontends: web({
      rules: {
        connection: [
          track('sc0', (conn) => conn.src, 'cache'),
          (conn: Connection) => {
            ended.push(conn)
          },
        ],
      },
    }),
  })
  const tag = (src: string) => proxy.tables.cache?.get(src)?.gpt0
  engine.accept({ src: '192.0.2.1' }).reset()
  const [first] = ended as [Connection]
  assert.deepEqual([first.sc0.tracked, first.sc0.key, first.sc0.connCur], [true, '192.0.2.1', 0])
  first.sc0.gpt0 = 7
  assert.equal(first.sc0.gpt0, 7)
  assert.equal(tag('192.0.2.1'), 7)
  // Its place is given to others, and its value is not theirs.
  engine.accept({ src: '192.0.2.2' }).reset()
  engine.accept({ src: '192.0.2.3' }).reset()
  assert.equal(tag('192.0.2.1'), undefined)
  assert.deepEqual([first.sc0.key, first.sc0.gpt0], [undefined, 0])
  first.sc0.gpt0 = 8
  assert.deepEqual(['192.0.2.1', '192.0.2.2', '192.0.2.3'].map(tag), [8, undefined, 0])
  clock.advance('1m')
  assert.equal(first.sc0.gpt0, 0)
  first.sc0.gpt0 = 9
  assert.equal(tag('192.0.2.1'), 9)
  assert.throws(() => {
    first.sc0.gpt0 = Number.NaN
  }, /gpt0: expected a finite number, got NaN/)
})

test('an asynchronous rule whose client has gone keeps its answer for the next one', async () => {
  let answer: (() => void) | undefined
  const { engine, proxy } = await harness({
    tables: { cache: { key: 'ip', size: 10, store: { gpt0: true } } },
    frontends: web({
      rules: {
        connection: [
          track('sc0', (conn) => conn.src, 'cache'),
          async (conn: Connection) => {
            await new Promise<void>((resolve) => {
              answer = resolve
            })
            conn.sc0.gpt0 = 1
          },
        ],
      },
    }),
  })
  engine.accept({ src: '192.0.2.1' }).reset()
  answer?.()
  await settle()
  assert.equal(proxy.tables.cache?.get('192.0.2.1')?.gpt0, 1)
})
