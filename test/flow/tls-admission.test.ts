import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  Admission,
  type AdmissionLimits,
  HandshakeTicket,
  TlsAdmission,
} from '#sluice/flow/tls/admission.js'
import { VirtualClock } from '#sluice/testing/clock.js'

/** Who is never let in late. */
const NOBODY = { admitted: assert.fail, waitedTooLong: assert.fail }
const NO_LIMITS: AdmissionLimits = { concurrent: 0, total: 0, queue: 100, queueTimeout: 1000 }

interface World {
  admission: TlsAdmission
  clock: VirtualClock
  /** Tickets that were let in from the queue, and those that waited too long, by number. */
  admitted: number[]
  expired: number[]
  arrive(number: number, worker?: number): number
  leave(number: number): void
}

function world(limits: Partial<AdmissionLimits>, workers = 1): World {
  const clock = new VirtualClock()
  const admitted: number[] = []
  const expired: number[] = []
  const tickets = new Map<number, HandshakeTicket<number>>()
  const admission = new TlsAdmission({ ...NO_LIMITS, ...limits }, workers, clock)
  const host = {
    admitted: (number: number) => admitted.push(number),
    waitedTooLong: (number: number) => expired.push(number),
  }
  return {
    admission,
    clock,
    admitted,
    expired,
    arrive(number, worker = 0) {
      const ticket = new HandshakeTicket(number, worker, host)
      tickets.set(number, ticket)
      return admission.arrive(ticket)
    },
    leave(number) {
      admission.leave(tickets.get(number) as HandshakeTicket<number>)
    },
  }
}

describe('admission of handshakes', () => {
  it('lets everybody in where there is no limit', () => {
    const { admission, arrive } = world({})
    for (let i = 0; i < 1000; i++) assert.equal(arrive(i), Admission.GO)
    assert.equal(admission.running, 1000)
  })

  it('holds those over the limit of a worker, and lets them in in their order', () => {
    const { admission, arrive, leave, admitted } = world({ concurrent: 2 })
    assert.deepEqual(
      [1, 2, 3, 4, 5].map((n) => arrive(n)),
      [Admission.GO, Admission.GO, Admission.WAIT, Admission.WAIT, Admission.WAIT],
    )
    leave(4)
    leave(1)
    assert.deepEqual(admitted, [3])
    leave(2)
    assert.deepEqual(admitted, [3, 5])
    assert.deepEqual([admission.running, admission.waiting], [2, 0])
  })

  it('tells those apart that begin when half of the places are taken', () => {
    const scarce = (limits: Partial<AdmissionLimits>, workers: readonly number[]) => {
      const { admission } = world(limits, 2)
      return workers.map((worker, n) => {
        const ticket = new HandshakeTicket(n, worker, NOBODY)
        assert.equal(admission.arrive(ticket), Admission.GO)
        return ticket.scarce
      })
    }
    assert.deepEqual(scarce({}, [0, 0]), [false, false])
    assert.deepEqual(scarce({ concurrent: 1 }, [0, 1]), [true, true])
    assert.deepEqual(scarce({ concurrent: 3 }, [0, 0, 1, 0]), [false, true, false, true])
    assert.deepEqual(scarce({ total: 4 }, [0, 1, 0, 1]), [false, false, true, true])
  })

  it('does not let a full worker hold up another one', () => {
    const { arrive, leave, admitted } = world({ concurrent: 1 }, 2)
    arrive(1, 0)
    assert.equal(arrive(2, 0), Admission.WAIT)
    assert.equal(arrive(3, 1), Admission.GO)
    leave(3)
    assert.deepEqual(admitted, [])
    leave(1)
    assert.deepEqual(admitted, [2])
  })

  it('keeps the limit of the process over all workers, the first in line first', () => {
    const { arrive, leave, admitted } = world({ total: 2 }, 2)
    arrive(1, 0)
    arrive(2, 1)
    assert.equal(arrive(3, 1), Admission.WAIT)
    assert.equal(arrive(4, 0), Admission.WAIT)
    leave(1)
    assert.deepEqual(admitted, [3])
    leave(2)
    assert.deepEqual(admitted, [3, 4])
  })

  it('refuses those for whom the queue has no place', () => {
    const { admission, arrive } = world({ concurrent: 1, queue: 1 })
    arrive(1)
    arrive(2)
    assert.equal(arrive(3), Admission.FULL)
    assert.equal(admission.waiting, 1)
  })

  it('gives up those who wait too long, and only those', () => {
    const { admission, clock, arrive, leave, admitted, expired } = world({ concurrent: 1 })
    arrive(1)
    arrive(2)
    clock.advance('600ms')
    arrive(3)
    clock.advance('400ms')
    assert.deepEqual(expired, [2])
    leave(1)
    assert.deepEqual(admitted, [3])
    clock.advance('10s')
    assert.deepEqual(expired, [2])
    assert.equal(clock.pending, 0)
    leave(3)
    leave(3)
    assert.deepEqual([admission.running, admission.waiting], [0, 0])
  })
})

/** What may happen to handshakes; `at` chooses one of those that are there. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('arrive'), at: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('leave'), at: fc.nat(1000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait'), at: fc.nat(800) }) },
)
const limits = fc.record({
  concurrent: fc.nat(3),
  total: fc.nat(4),
  queue: fc.nat(4),
  queueTimeout: fc.constantFrom(0, 500),
})

it('counts stay within the limits and return to 0, whatever happens', () => {
  fc.assert(
    fc.property(limits, fc.array(step, { maxLength: 80 }), (limits, steps) => {
      const { admission, clock, arrive, leave, admitted, expired } = world(limits, 3)
      const workers = new Map<number, number>()
      const running = new Set<number>()
      const waiting = new Set<number>()
      /** What the host was told goes into the model. */
      const told = () => {
        for (const number of admitted.splice(0)) {
          assert.ok(waiting.delete(number), 'only who waits is let in')
          running.add(number)
        }
        for (const number of expired.splice(0)) {
          assert.ok(waiting.delete(number), 'only who waits expires')
        }
      }
      const check = () => {
        told()
        assert.equal(admission.running, running.size)
        assert.equal(admission.waiting, waiting.size)
        if (limits.total > 0) assert.ok(running.size <= limits.total)
        assert.ok(waiting.size <= limits.queue)
        const free: number[] = []
        for (let worker = 0; worker < 3; worker++) {
          const count = [...running].filter((n) => workers.get(n) === worker).length
          if (limits.concurrent > 0) assert.ok(count <= limits.concurrent)
          if (limits.concurrent === 0 || count < limits.concurrent) free.push(worker)
        }
        // Nobody waits who could go.
        const room = limits.total === 0 || running.size < limits.total
        const stuck = [...waiting].filter((n) => free.includes(workers.get(n) as number))
        assert.ok(!room || stuck.length === 0)
      }
      let next = 0
      for (const { kind, at } of steps) {
        if (kind === 'arrive') {
          const number = next++
          workers.set(number, at)
          const answer = arrive(number, at)
          if (answer === Admission.GO) running.add(number)
          else if (answer === Admission.WAIT) waiting.add(number)
        } else if (kind === 'wait') {
          clock.advance(`${at}ms`)
        } else {
          const there = [...running, ...waiting]
          const number = there[at % Math.max(there.length, 1)]
          if (number === undefined) continue
          running.delete(number)
          waiting.delete(number)
          leave(number)
        }
        check()
      }
      while (running.size + waiting.size > 0) {
        for (const number of [...running, ...waiting]) {
          told()
          if (!running.delete(number) && !waiting.delete(number)) continue
          leave(number)
          check()
        }
      }
      assert.deepEqual([admission.running, admission.waiting, clock.pending], [0, 0, 0])
    }),
    { numRuns: 300 },
  )
})
