/** Table handles in rules, and beside them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SluiceError } from '#sluice/base/errors.js'
import type { Connection } from '#sluice/policy/types.js'
import { defineTable, type Rule, reject, track } from '#sluice/policy.js'
import { assembleProxy } from '#sluice/proxy/create.js'
import { settle, VirtualClock } from '#sluice/testing/clock.js'
import { TestEngine } from '#sluice/testing/engine/engine.js'
import { harness, type LogLine, memoryLogger, web } from '../../support/harness.js'

const all = {
  connCur: true,
  connCnt: true,
  connRate: '10s',
  sessCnt: true,
  bytesInCnt: true,
  bytesOutCnt: true,
  gpc0: true,
} as const

function sourcesTable() {
  return defineTable({ key: 'ip', size: 100, store: all })
}

const rules = (...connection: Rule[]) => web({ rules: { connection } })

test('a handle is the configuration of its table, and counts a connection until its end', async () => {
  const sources = sourcesTable()
  const rates: number[] = []
  const { engine, proxy } = await harness({
    tables: { sources },
    frontends: rules(function limit(conn) {
      const seen = sources.track(conn)
      rates.push(seen.connRate)
      assert.equal(seen.tracked, true)
      assert.equal(seen.key, '192.0.2.7')
      seen.gpc0++
      if (seen.connCur > 2) return reject()
    }),
  })
  const clients = [1, 2, 3].map(() => engine.accept({ src: '192.0.2.7' }))
  assert.deepEqual(rates, [1, 2, 3])
  assert.deepEqual(
    clients.map(({ mode }) => mode),
    ['forward', 'forward', 'closing'],
  )
  await settle()
  assert.equal(sources.get('192.0.2.7')?.connCur, 2)
  clients[0]?.send('hello')
  clients[0]?.fin()
  clients[0]?.serverFin()
  assert.deepEqual(sources.get('192.0.2.7'), {
    connCur: 1,
    connCnt: 3,
    connRate: 3,
    sessCnt: 2,
    bytesInCnt: 5,
    bytesOutCnt: 0,
    gpc0: 3,
  })
  assert.equal(sources.get('192.0.2.8'), undefined)
  await proxy.stop({ deadline: '0s' })
})

test('a connection tracks as many handles as it likes, beside sc0; the first track wins', async () => {
  const tables = [1, 2, 3, 4, 5].map(() =>
    defineTable({ key: 'string', size: 10, store: { connCur: true, gpc0: true } }),
  )
  const [first] = tables
  const { engine, proxy } = await harness({
    tables: {
      ...Object.fromEntries(tables.map((table, i) => [`t${i}`, table])),
      plain: { key: 'ip', size: 10, store: { connCur: true } },
    },
    frontends: rules(
      track('sc0', (conn) => conn.src, 'plain'),
      // A handle's table through a counter, too: both count.
      track('sc1', 'one', 't0'),
      function every(conn) {
        for (const table of tables) table.track(conn, 'one').gpc0++
      },
      function again(conn) {
        assert.equal(first?.track(conn, 'two').key, 'one')
        assert.equal(conn.sc0.connCur, 1)
        assert.equal(conn.sc1.key, 'one')
        assert.equal(conn.sc2.tracked, false)
      },
    ),
  })
  const client = engine.accept()
  assert.equal(client.mode, 'forward')
  assert.deepEqual(
    tables.map((table) => table.get('one')),
    [2, 1, 1, 1, 1].map((connCur) => ({ connCur, gpc0: 1 })),
  )
  assert.equal(first?.get('two'), undefined)
  client.fin()
  client.serverFin()
  assert.deepEqual(
    tables.map((table) => table.get('one')?.connCur),
    [0, 0, 0, 0, 0],
  )
  for (const table of tables) assert.equal(table.delete('one'), true)
  await proxy.stop()
})

test('what does not fit is not tracked: it reads 0 and ignores writes, and the next one may', async () => {
  const names = defineTable({ key: 'ip', size: 10, store: { connCur: true, gpc0: true } })
  const { engine, proxy, lines } = await harness({
    tables: { names },
    frontends: rules(function odd(conn) {
      for (const key of [undefined, '2001:db8::1', '']) {
        const none = names.track(conn, key)
        none.gpc0++
        assert.deepEqual(
          [none.tracked, none.key, none.gpc0, none.connCur],
          [false, undefined, 0, 0],
        )
        // Not stored, though nothing is tracked.
        assert.throws(() => (none as unknown as { gpt0: number }).gpt0, /does not store gpt0/)
      }
      assert.equal(names.track(conn, '192.0.2.1').tracked, true)
    }),
  })
  assert.equal(engine.accept({ src: '192.0.2.9' }).mode, 'forward')
  assert.deepEqual(lines, [])
  assert.deepEqual(
    [...names.entries()].map(({ key }) => key),
    ['192.0.2.1'],
  )
  await proxy.stop({ deadline: '0s' })
})

test('a full table tracks nothing more, and says so', async () => {
  const small = defineTable({ key: 'ip', size: 1, store: { connCur: true } })
  const tracked: boolean[] = []
  const { engine, proxy } = await harness({
    tables: { small },
    frontends: rules(function full(conn) {
      tracked.push(small.track(conn).tracked)
    }),
  })
  engine.accept({ src: '192.0.2.1' })
  engine.accept({ src: '192.0.2.2' })
  assert.deepEqual(tracked, [true, false])
  await proxy.stop({ deadline: '0s' })
})

test('behind the end nothing is counted or pinned; the entry is read and written', async () => {
  const sources = sourcesTable()
  let held: Connection | undefined
  const { engine, proxy } = await harness({
    tables: { sources },
    frontends: rules(function hold(conn) {
      held = conn
      void conn.signal
    }),
  })
  const client = engine.accept({ src: '192.0.2.7' })
  client.fin()
  client.serverFin()
  const late = sources.track(held as Connection)
  assert.equal(late.connCnt, 0)
  late.gpc0 = 4
  assert.equal(late.key, '192.0.2.7')
  assert.deepEqual([late.gpc0, late.connCur, late.connCnt], [4, 0, 0])
  assert.equal(sources.delete('192.0.2.7'), true)
  await proxy.stop()
  // A connection of a proxy that is gone, too.
  assert.equal(sources.track(held as Connection).gpc0, 0)
})

function messageOf(line: LogLine | undefined): string {
  return (line?.err as { message: string } | undefined)?.message ?? ''
}

function code(expected: string, message: RegExp) {
  return (error: SluiceError) => error.code === expected && message.test(error.message)
}

test('several proxies have one handle: each connection counts in the table of its own', async () => {
  const sources = sourcesTable()
  const seen: number[] = []
  const config = () => ({
    tables: { sources },
    frontends: rules(function count(conn) {
      sources.track(conn)
      seen.push(sources.of(conn).get(conn.src)?.connCnt ?? 0)
    }),
  })
  const STATE = 'ERR_SLUICE_STATE'
  assert.throws(
    () => sources.get('192.0.2.1'),
    code(STATE, /no proxy that runs.*key 'ip', size 100/),
  )
  const one = await harness(config())
  const two = await harness(config())
  for (const { engine } of [one, two, two]) engine.accept({ src: '192.0.2.1' })
  assert.deepEqual(seen, [1, 1, 2])
  const ambiguous = code(STATE, /2 proxies that run have the table 'sources': .* of\(conn\)/)
  assert.throws(() => sources.get('192.0.2.1'), ambiguous)
  assert.throws(() => sources.set('192.0.2.1', {}), ambiguous)
  assert.throws(() => sources.delete('192.0.2.1'), ambiguous)
  assert.throws(() => sources.entries(), ambiguous)
  await one.proxy.stop({ deadline: '0s' })
  assert.equal(sources.get('192.0.2.1')?.connCnt, 2)
  await two.proxy.stop({ deadline: '0s' })
  assert.throws(() => sources.get('192.0.2.1'), code(STATE, /no proxy that runs/))
})

test('a handle that the configuration has not is a failure of the rule, and says what to do', async () => {
  const stranger = defineTable({ key: 'ip', size: 5 })
  const { engine, proxy, lines } = await harness({
    frontends: rules(function odd(conn) {
      stranger.track(conn)
    }),
  })
  assert.equal(engine.accept().mode, 'closing')
  const [line] = lines
  assert.equal(line?.msg, 'rule odd failed')
  const message = messageOf(line)
  assert.match(
    message,
    /has no table with this handle \(key 'ip', size 5\): name the handle in 'tables'/,
  )
  await proxy.stop({ deadline: '0s' })
})

test('what is no connection, and what is no key, is told', async () => {
  const sources = sourcesTable()
  const ARGUMENT = 'ERR_SLUICE_ARGUMENT'
  for (const conn of [undefined, null, '192.0.2.1', { src: '192.0.2.1' }]) {
    assert.throws(() => sources.track(conn as never), code(ARGUMENT, /tracks on a connection/))
  }
  const { engine, proxy, lines } = await harness({
    tables: { sources },
    frontends: rules(function odd(conn) {
      sources.track(conn, {} as never)
    }),
  })
  engine.accept()
  const message = messageOf(lines[0])
  assert.match(
    message,
    /table 'sources': a key is a string, a number or a Uint8Array, got an object/,
  )
  await proxy.stop({ deadline: '0s' })
})

test('a proxy that does not start leaves its handle free', async () => {
  const sources = sourcesTable()
  class Deaf extends TestEngine {
    override listen(): Promise<never> {
      // While it starts its handle has it: rules run as soon as one listener is there.
      assert.deepEqual([...sources.entries()], [])
      return Promise.reject(new Error('deaf'))
    }
  }
  const clock = new VirtualClock()
  const proxy = assembleProxy(
    {
      tables: { sources },
      frontends: web({}),
      backends: { app: { servers: { a: '127.0.0.1:9001' } } },
    },
    { engine: new Deaf(clock), clock, logger: memoryLogger().logger },
  )
  await assert.rejects(proxy.start(), /deaf/)
  assert.throws(() => sources.entries(), /no proxy that runs/)
})
