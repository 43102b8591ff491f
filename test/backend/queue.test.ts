import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { WaitQueue } from '#sluice/backend/queue.js'
import { VirtualClock } from '#sluice/testing/clock.js'

interface Client {
  priority: number
  name: number
}
interface Owner {
  name: string
}

function make(limit = 1000, timeout = 1000) {
  const clock = new VirtualClock()
  const expired: number[] = []
  const queue = new WaitQueue<Client, Owner>(clock, limit, timeout, ({ name }) =>
    expired.push(name),
  )
  return { clock, expired, queue }
}

describe('the wait queue', () => {
  it('serves lower priority values first, and first come first served within one', () => {
    const { queue } = make()
    for (const [name, priority] of [5, 0, 5, -1, 0].entries())
      queue.add({ name, priority }, undefined)
    const order: number[] = []
    for (let next = queue.nextCommon(); next; next = queue.nextCommon()) {
      order.push(next.name)
      queue.remove(next)
    }
    assert.deepEqual(order, [3, 1, 4, 0, 2])
    assert.equal(queue.size, 0)
  })

  it('refuses clients beyond its limit', () => {
    const { queue } = make(2)
    assert.ok(queue.add({ name: 0, priority: 0 }, undefined))
    assert.ok(queue.add({ name: 1, priority: 0 }, { name: 'a' }))
    assert.equal(queue.add({ name: 2, priority: -9 }, undefined), false)
    assert.equal(queue.size, 2)
  })

  it('says when the first client comes and when the last one has left', () => {
    const clock = new VirtualClock()
    const said: boolean[] = []
    const queue = new WaitQueue<Client, Owner>(
      clock,
      2,
      1000,
      () => {},
      (waited) => said.push(waited),
    )
    const [a, b] = [0, 1].map((name) => ({ name, priority: 0 })) as [Client, Client]
    queue.add(a, undefined)
    queue.add(b, { name: 'a' })
    queue.add({ name: 2, priority: 0 }, undefined)
    queue.disown({ name: 'a' })
    queue.remove(a)
    queue.remove(a)
    assert.deepEqual(said, [true])
    queue.remove(b)
    assert.deepEqual(said, [true, false])
    queue.add(a, undefined)
    clock.advance('1s')
    queue.add(b, undefined)
    queue.close()
    assert.deepEqual(said, [true, false, true, false, true, false])
  })

  it('expires each client at its own time, with one timer for all', () => {
    const { clock, expired, queue } = make()
    for (let name = 0; name < 5; name++) {
      queue.add({ name, priority: -name }, name % 2 ? { name: 'a' } : undefined)
      assert.equal(clock.pending, 1)
      clock.advance('100ms')
    }
    clock.advance('499ms')
    assert.deepEqual(expired, [])
    clock.advance('1ms')
    assert.deepEqual(expired, [0])
    clock.advance('250ms')
    assert.deepEqual(expired, [0, 1, 2])
    clock.advance('1s')
    assert.deepEqual(expired, [0, 1, 2, 3, 4])
    assert.equal(clock.pending, 0)
  })

  it('sets the timer for who is left when the oldest leaves early', () => {
    const { clock, expired, queue } = make()
    const first = { name: 1, priority: 0 }
    queue.add(first, undefined)
    clock.advance('600ms')
    queue.add({ name: 2, priority: 0 }, undefined)
    queue.remove(first)
    clock.advance('999ms')
    assert.deepEqual(expired, [])
    clock.advance('1ms')
    assert.deepEqual(expired, [2])
  })

  it('without a time-out sets no timer', () => {
    const { clock, queue } = make(10, 0)
    queue.add({ name: 1, priority: 0 }, undefined)
    assert.equal(clock.pending, 0)
  })

  it('lets a client that moves keep its turn and its deadline', () => {
    const { clock, expired, queue } = make()
    const a = { name: 'a' }
    queue.add({ name: 1, priority: 0 }, a)
    clock.advance('10ms')
    queue.add({ name: 2, priority: 0 }, undefined)
    queue.disown(a)
    assert.equal(queue.ownedBy(a), 0)
    assert.equal(queue.nextCommon()?.name, 1)
    clock.advance('990ms')
    assert.deepEqual(expired, [1])
  })

  it('answers a server with the first of its own and the common clients', () => {
    const { queue } = make()
    const [a, b] = [{ name: 'a' }, { name: 'b' }]
    queue.add({ name: 1, priority: 1 }, a)
    queue.add({ name: 2, priority: 0 }, undefined)
    queue.add({ name: 3, priority: -1 }, b)
    assert.equal(queue.next(a, true)?.name, 2)
    assert.equal(queue.next(a, false)?.name, 1)
    assert.equal(queue.next(b, true)?.name, 3)
    assert.equal(queue.next({ name: 'c' }, false), undefined)
  })

  it('behaves as a sorted list under any mix of operations', () => {
    const operation = fc.oneof(
      fc.record({
        op: fc.constant('add' as const),
        priority: fc.integer({ min: -2, max: 2 }),
        to: fc.nat(2),
      }),
      fc.record({ op: fc.constant('remove' as const), index: fc.nat(30) }),
      fc.record({ op: fc.constant('serve' as const), to: fc.nat(2) }),
      fc.record({ op: fc.constant('disown' as const), to: fc.integer({ min: 1, max: 2 }) }),
      fc.record({ op: fc.constant('wait' as const), ms: fc.nat(400) }),
    )
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 100 }), (operations) => {
        const { clock, expired, queue } = make(20, 1000)
        const owners: (Owner | undefined)[] = [undefined, { name: 'a' }, { name: 'b' }]
        let model: { client: Client; to: number; until: number }[] = []
        const gone: number[] = []
        let name = 0
        for (const step of operations) {
          if (step.op === 'add') {
            const client = { name: name++, priority: step.priority }
            assert.equal(queue.add(client, owners[step.to]), model.length < 20)
            if (model.length < 20) model.push({ client, to: step.to, until: clock.now() + 1000 })
          } else if (step.op === 'remove') {
            const victim = model[step.index]
            if (victim) assert.ok(queue.remove(victim.client))
            model = model.filter((one) => one !== victim)
          } else if (step.op === 'serve') {
            const mine = model.filter(({ to }) => to === step.to)
            mine.sort(
              (x, y) => x.client.priority - y.client.priority || x.client.name - y.client.name,
            )
            const owner = owners[step.to]
            const next = owner ? queue.next(owner, false) : queue.nextCommon()
            assert.equal(next, mine[0]?.client)
            if (next) queue.remove(next)
            model = model.filter((one) => one !== mine[0])
          } else if (step.op === 'disown') {
            queue.disown(owners[step.to] as Owner)
            model = model.map((one) => (one.to === step.to ? { ...one, to: 0 } : one))
          } else {
            clock.advance(`${step.ms}ms`)
            gone.push(
              ...model.filter(({ until }) => until <= clock.now()).map((one) => one.client.name),
            )
            model = model.filter(({ until }) => until > clock.now())
          }
          assert.equal(queue.size, model.length)
          assert.deepEqual(expired, gone)
        }
        queue.close()
        assert.equal(queue.size, 0)
        assert.equal(clock.pending, 0)
      }),
    )
  })
})
