import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Code } from '#sluice/wire/wire.js'
import { backendConfig, choose, FakeClient, givenTo, serversOf, startWorld } from './support.js'

const passive = { failures: 3, backoff: 1_000, maxBackoff: 3_000 }

async function world(...servers: Parameters<typeof serversOf>) {
  const made = await startWorld(backendConfig(serversOf(...servers), { passive }))
  const fail = (name: string, times: number, code: number = Code.REFUSED) => {
    for (let i = 0; i < times; i++) made.backend.failed(made.byName(name), code)
  }
  return { ...made, fail }
}

describe('passive failure marking', () => {
  it('takes a server out after failures in a row, reported and logged once', async () => {
    const { backend, byName, changes, fail, lines } = await world({}, {})
    fail('a', 2)
    assert.equal(byName('a').status, 'up')
    fail('a', 5)
    assert.deepEqual(changes, ['a: up > down'])
    assert.deepEqual(
      lines.map(({ msg, server, backoff, failures }) => ({ msg, server, backoff, failures })),
      [{ msg: 'server is down', server: 'a', backoff: 1000, failures: 3 }],
    )
    assert.deepEqual(
      [1, 2, 3].map(() => choose(backend)),
      ['b', 'b', 'b'],
    )
  })

  it('counts only failures in a row', async () => {
    const { backend, byName, fail } = await world({})
    fail('a', 2)
    backend.succeeded(byName('a'))
    fail('a', 2)
    assert.equal(byName('a').status, 'up')
  })

  it('asks for outcomes only while they matter', async () => {
    const { backend, byName, clock, fail } = await world({})
    assert.equal(byName('a').wantsOutcome, false)
    fail('a', 1)
    assert.equal(byName('a').wantsOutcome, true)
    backend.succeeded(byName('a'))
    assert.equal(byName('a').wantsOutcome, false)
    fail('a', 3)
    clock.advance('1s')
    assert.equal(byName('a').status, 'half-open')
    assert.equal(byName('a').wantsOutcome, true)
  })

  it('lets one trial through after the back-off, and all after its success', async () => {
    const { backend, byName, changes, clock, fail } = await world({}, {})
    fail('a', 3)
    clock.advance('999ms')
    assert.equal(byName('a').status, 'down')
    clock.advance('1ms')
    const names = [1, 2, 3, 4].map(() => choose(backend))
    assert.equal(names.filter((name) => name === 'a').length, 1)
    backend.succeeded(byName('a'))
    const after = [1, 2, 3, 4].map(() => choose(backend))
    assert.equal(after.filter((name) => name === 'a').length, 2)
    assert.deepEqual(changes, ['a: up > down', 'a: down > half-open', 'a: half-open > up'])
  })

  it('doubles the back-off with each trial that times out, up to its limit, and resets it', async () => {
    const { backend, byName, clock, fail } = await world({})
    fail('a', 3)
    const trials = (code: number, backoffs: number[]) => {
      for (const backoff of backoffs) {
        clock.advance(`${backoff - 1}ms`)
        assert.equal(byName('a').status, 'down')
        clock.advance('1ms')
        assert.equal(byName('a').status, 'half-open')
        assert.equal(choose(backend), 'a')
        fail('a', 1, code)
        backend.release(byName('a'))
      }
    }
    trials(Code.CONNECT_TIMEOUT, [1000, 2000, 3000, 3000])
    clock.advance('3s')
    backend.succeeded(byName('a'))
    fail('a', 3)
    clock.advance('1s')
    assert.equal(byName('a').status, 'half-open')
  })

  it('tries as often as before a server that refuses: the trial costs its session nothing', async () => {
    const { backend, byName, clock, fail, lines, changes } = await world({}, {})
    fail('a', 3)
    for (let i = 0; i < 40; i++) {
      clock.advance('1s')
      assert.ok([choose(backend), choose(backend)].includes('a'))
      fail('a', 1)
    }
    clock.advance('1s')
    assert.equal(byName('a').status, 'half-open')
    assert.deepEqual(
      lines.filter(({ level }) => level >= 30).map(({ msg }) => msg),
      ['server is down'],
    )
    assert.equal(changes.length, 82)
  })

  it('does not lengthen the back-off for failures that come late', async () => {
    const { byName, clock, fail } = await world({})
    fail('a', 3)
    clock.advance('900ms')
    fail('a', 10)
    clock.advance('100ms')
    assert.equal(byName('a').status, 'half-open')
  })

  it('moves traffic, and only where somebody serves it better', async () => {
    const { backend, byName, clock, fail } = await world({}, {})
    const names = (count: number) => Array.from({ length: count }, () => choose(backend)).sort()
    fail('a', 3)
    assert.deepEqual(names(2), ['b', 'b'])
    fail('b', 3)
    assert.deepEqual(names(4), ['a', 'a', 'b', 'b'])
    clock.advance('1s')
    assert.deepEqual(names(2), ['a', 'b'])
    // Both are on trial, and nobody waits for what comes of it.
    assert.deepEqual(names(2), ['a', 'b'])
    backend.succeeded(byName('b'))
    assert.deepEqual(names(2), ['b', 'b'])
  })

  it('leaves marked servers to those who have tried the others, the oldest mark first', async () => {
    const { backend, byName, clock, fail } = await world({}, {}, {}, { backup: true })
    const pick = (...avoid: string[]) => {
      const picked = backend.pick(new FakeClient(), avoid.map(byName))
      return picked.kind === 'server' ? picked.server.name : picked.kind
    }
    fail('b', 3)
    clock.advance('10ms')
    fail('a', 3)
    assert.equal(pick(), 'c')
    assert.equal(pick('c'), 'b')
    assert.equal(pick('c', 'b'), 'a')
    // The backup is for when no other is up.
    assert.equal(backend.offers(['a', 'b', 'c'].map(byName)), false)
    assert.equal(pick('c', 'b', 'a'), 'c')
    fail('c', 3)
    assert.equal(pick(), 'd')
    assert.equal(pick('d'), 'b')
  })

  it('lets nobody wait for a marked server that is alone', async () => {
    const { backend, byName, clock, fail } = await world({ maxconn: 1 })
    choose(backend)
    const [first, second] = [new FakeClient(), new FakeClient()]
    choose(backend, first)
    choose(backend, second)
    fail('a', 3)
    backend.release(byName('a'))
    assert.equal(givenTo(first), 'a')
    clock.advance('1s')
    assert.equal(givenTo(second), undefined)
    backend.release(byName('a'))
    assert.equal(givenTo(second), 'a')
  })

  it('tries again when the trial ends without an outcome', async () => {
    const { backend, byName, clock, fail } = await world({})
    fail('a', 3)
    clock.advance('1s')
    assert.equal(choose(backend), 'a')
    backend.release(byName('a'))
    assert.equal(choose(backend), 'a')
  })

  it('tries again when older sessions hide that the trial ended', async () => {
    const { backend, byName, clock, fail } = await world({}, {})
    choose(backend)
    choose(backend)
    fail('a', 3)
    clock.advance('1s')
    const names = [1, 2].map(() => choose(backend))
    assert.ok(names.includes('a'))
    backend.release(byName('a'))
    assert.equal(choose(backend), 'b')
    // Connect time-out and a second.
    clock.advance('6s')
    assert.ok([1, 2].map(() => choose(backend)).includes('a'))
  })

  it('does not blame a server for what is lacking here', async () => {
    const { backend, byName, clock, fail } = await world({})
    for (const code of [Code.FD_EXHAUSTED, Code.PORTS_EXHAUSTED, Code.NO_MEMORY, Code.TABLE_FULL]) {
      fail('a', 3, code)
    }
    assert.equal(byName('a').status, 'up')
    fail('a', 3)
    clock.advance('1s')
    assert.equal(choose(backend), 'a')
    fail('a', 1, Code.FD_EXHAUSTED)
    assert.equal(byName('a').status, 'half-open')
    assert.equal(choose(backend), 'a')
  })

  it('believes an operator who says ready', async () => {
    const { backend, byName, changes, clock, fail } = await world({})
    fail('a', 3)
    byName('a').setState('ready')
    assert.equal(choose(backend), 'a')
    assert.deepEqual(changes, ['a: up > down', 'a: down > up'])
    assert.equal(clock.pending, 0)
  })

  it('hands over to backup servers and back', async () => {
    const { backend, byName, clock, fail } = await world({}, { backup: true })
    fail('a', 3)
    assert.equal(choose(backend), 'b')
    clock.advance('1s')
    assert.equal(choose(backend), 'a')
    assert.equal(choose(backend), 'b')
    backend.succeeded(byName('a'))
    assert.equal(choose(backend), 'a')
  })

  it('is silent and has no timers where it is off', async () => {
    const { backend, byName, clock } = await startWorld(backendConfig(serversOf({})))
    for (let i = 0; i < 10; i++) backend.failed(byName('a'), Code.REFUSED)
    assert.equal(byName('a').status, 'up')
    assert.equal(byName('a').wantsOutcome, false)
    assert.equal(clock.pending, 0)
  })

  it('survives a listener that throws', async () => {
    const config = backendConfig(serversOf({}), { passive })
    const { backend, byName, lines } = await startWorld(config, {
      onServerState: () => {
        throw new Error('listener')
      },
    })
    for (let i = 0; i < 3; i++) backend.failed(byName('a'), Code.REFUSED)
    assert.equal(byName('a').status, 'down')
    assert.match(lines.at(-1)?.msg ?? '', /onServerState threw/)
  })
})
