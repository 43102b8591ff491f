import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ResolvedBackend, ResolvedServer, ResolvedTable } from '#sluice/config/resolved.js'
import type { Connection } from '#sluice/policy/types.js'
import { StickTable } from '#sluice/tables/stick-table.js'
import { VirtualClock } from '#sluice/testing/clock.js'
import {
  backendConfig,
  captureLog,
  choose,
  connection,
  FakeClient,
  makeWorld,
  serversOf,
} from './support.js'

const tableConfig: ResolvedTable = {
  name: 'sticky',
  key: 'ip',
  size: 100,
  expire: 0,
  keyLength: 32,
  store: {
    connCur: false,
    connCnt: false,
    connRate: 0,
    sessCnt: false,
    sessRate: 0,
    bytesInCnt: false,
    bytesOutCnt: false,
    bytesInRate: 0,
    bytesOutRate: 0,
    gpc0: false,
    gpc1: false,
    gpc0Rate: 0,
    gpt0: false,
    serverId: true,
  },
}

async function start(
  servers: Partial<ResolvedServer>[],
  stick: Partial<NonNullable<ResolvedBackend['stick']>> = {},
  options: Partial<ResolvedBackend> = {},
) {
  const table = new StickTable(tableConfig, new VirtualClock())
  const config = backendConfig(serversOf(...servers), {
    stick: { table: 'sticky', key: (conn) => conn.src, match: true, store: true, ...stick },
    ...options,
  })
  const world = makeWorld(config, { table })
  await world.backend.start()
  const from = (src: string) => new FakeClient(0, connection(src))
  const stored = (src: string) => {
    const entry = table.lookup(src)
    return entry === undefined ? 0 : table.get(entry, 'serverId')
  }
  return { ...world, table, from, stored }
}

describe('stickiness', () => {
  it('sends a key to the server it went to before', async () => {
    const { backend, from } = await start([{}, {}, {}])
    const first = choose(backend, from('192.0.2.1'))
    choose(backend, from('192.0.2.2'))
    for (let i = 0; i < 5; i++) assert.equal(choose(backend, from('192.0.2.1')), first)
  })

  it('stores under "store" only, and matches under "match" only', async () => {
    const storing = await start([{}, {}], { match: false })
    assert.deepEqual(
      [1, 2].map(() => choose(storing.backend, storing.from('192.0.2.1'))),
      ['a', 'b'],
    )
    assert.equal(storing.stored('192.0.2.1'), 2)

    const matching = await start([{}, {}], { store: false })
    choose(matching.backend, matching.from('192.0.2.1'))
    assert.equal(matching.stored('192.0.2.1'), 0)
    matching.table.set(matching.table.track('192.0.2.1') as number, 'serverId', 2)
    assert.deepEqual(
      [1, 2, 3].map(() => choose(matching.backend, matching.from('192.0.2.1'))),
      ['b', 'b', 'b'],
    )
  })

  it('still holds for a server that drains, by state or by weight', async () => {
    const { backend, byName, from } = await start([{}, {}])
    const name = choose(backend, from('192.0.2.1'))
    byName(name).setState('drain')
    assert.equal(choose(backend, from('192.0.2.1')), name)
    assert.notEqual(choose(backend, from('192.0.2.9')), name)
    byName(name).setState('ready')
    byName(name).setWeight(0)
    assert.equal(choose(backend, from('192.0.2.1')), name)
  })

  it('moves from a server that is in maintenance, down or avoided, and stays there', async () => {
    const { backend, byName, from, stored } = await start(
      [{}, {}, {}],
      {},
      { passive: { failures: 1, backoff: 1000, maxBackoff: 1000 } },
    )
    const first = choose(backend, from('192.0.2.1'))
    byName(first).setState('maint')
    const second = choose(backend, from('192.0.2.1'))
    assert.notEqual(second, first)
    byName(first).setState('ready')
    assert.equal(choose(backend, from('192.0.2.1')), second)
    backend.failed(byName(second), 4)
    const third = choose(backend, from('192.0.2.1'))
    assert.notEqual(third, second)
    const fourth = choose(backend, from('192.0.2.1'), byName(third))
    assert.notEqual(fourth, third)
    assert.equal(stored('192.0.2.1'), byName(fourth).id)
  })

  it('waits for its own server when that is full, also while it drains', async () => {
    const { backend, byName, from } = await start([{ maxconn: 1 }, {}])
    assert.equal(choose(backend, from('192.0.2.1')), 'a')
    const again = from('192.0.2.1')
    assert.equal(choose(backend, again), 'queued')
    assert.equal(choose(backend, from('192.0.2.2')), 'b')
    byName('a').setState('drain')
    backend.release(byName('a'))
    assert.equal(again.server?.name, 'a')
  })

  it('goes elsewhere when the server it waits for is taken out', async () => {
    const { backend, byName, from, stored } = await start([{ maxconn: 1 }, {}])
    choose(backend, from('192.0.2.1'))
    const again = from('192.0.2.1')
    choose(backend, again)
    byName('a').setState('maint')
    assert.equal(again.server?.name, 'b')
    assert.equal(stored('192.0.2.1'), 2)
  })

  it('stores what a client that waited was given', async () => {
    const { backend, byName, from, stored } = await start([{ maxconn: 1 }])
    choose(backend, from('192.0.2.1'))
    choose(backend, from('192.0.2.2'))
    assert.equal(stored('192.0.2.2'), 0)
    backend.release(byName('a'))
    assert.equal(stored('192.0.2.2'), 1)
  })

  it('does without a key, with a key that does not fit, and with one that throws', async () => {
    const { log, lines } = captureLog()
    let key: (conn: Connection) => string | undefined = () => undefined
    const { backend, table } = await start([{}], { key: (conn) => key(conn) })
    assert.equal(choose(backend), 'a')
    key = () => 'not an address'
    assert.equal(choose(backend), 'a')
    key = () => {
      throw new Error('bug')
    }
    assert.equal(choose(backend, new FakeClient(0, connection('192.0.2.1', log))), 'a')
    key = () => Promise.resolve('192.0.2.1') as unknown as string
    assert.equal(choose(backend, new FakeClient(0, connection('192.0.2.1', log))), 'a')
    assert.equal(table.entries, 0)
    assert.equal(lines.length, 2)
    for (const { msg } of lines) assert.match(msg, /key function of stickiness failed/)
  })

  it('asks for the key once in each choice, and anew in the next', async () => {
    let calls = 0
    let key = '192.0.2.1'
    const { backend, stored } = await start([{}, {}], {
      key: () => {
        calls++
        return key
      },
    })
    const client = new FakeClient()
    choose(backend, client)
    assert.equal(calls, 1)
    key = '192.0.2.2'
    choose(backend, client)
    assert.equal(calls, 2)
    assert.deepEqual([stored('192.0.2.1'), stored('192.0.2.2')], [1, 2])

    calls = 0
    const matching = await start([{}], { store: false, key: () => String(calls++) })
    choose(matching.backend, client)
    choose(matching.backend, client)
    assert.equal(calls, 2)
  })

  it('ignores the id of a server that is no longer there', async () => {
    const { backend, table, from } = await start([{}])
    table.set(table.track('192.0.2.1') as number, 'serverId', 99)
    assert.equal(choose(backend, from('192.0.2.1')), 'a')
  })
})
