/** Answers that bite when they are looked at: each is its rule's failure, and never an internal one. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Config } from '#sluice/index.js'
import { createTestProxy } from '#sluice/testing/index.js'

function bites(): never {
  throw new Error('looked at')
}

const trap = { get: bites, has: bites, ownKeys: bites, getOwnPropertyDescriptor: bites }

/** Right when it is checked, and something else afterwards. */
function turning(verdict: Record<string, unknown>, field: string, later: unknown): object {
  let reads = 0
  return Object.defineProperty({ ...verdict }, field, {
    enumerable: true,
    get: () => (reads++ === 0 ? verdict[field] : later),
  })
}

/** Node makes a stack, and looks at the rest, when it is first read. */
const error = new Error('x')
error.stack
for (const name of ['stack', 'message', 'name', 'cause']) {
  Object.defineProperty(error, name, { get: bites })
}

/** Which is no promise, or not for long. */
const like = (then: unknown) => Object.defineProperty({}, 'then', { value: then })

/** What a function answers, throws or promises. */
const answers: Record<string, () => unknown> = {
  'an object whose kind bites': () => Object.defineProperty({}, 'kind', { get: bites }),
  'an object whose then bites': () => Object.defineProperty({}, 'then', { get: bites }),
  'a then that bites when it is called': () => like(bites),
  'a then that is there at the first look only': () => {
    let reads = 0
    return Object.defineProperty({}, 'then', { get: () => (reads++ === 0 ? bites : 1) })
  },
  'a field that bites': () =>
    Object.defineProperty({ kind: 'useBackend' }, 'backend', { enumerable: true, get: bites }),
  'a field that turns': () => turning({ kind: 'reply', content: 'hi' }, 'content', Symbol('x')),
  'a name that turns': () => turning({ kind: 'useBackend', backend: 'app' }, 'backend', {}),
  'a time that turns': () => turning({ kind: 'tarpit', duration: '1s' }, 'duration', 5),
  'a Proxy': () => new Proxy({}, trap),
  'a Proxy of a list': () => new Proxy([], trap),
  'a Proxy of a function': () => new Proxy(() => undefined, { ...trap, apply: bites }),
  'a revoked Proxy': () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  },
  'a symbol': () => Symbol('x'),
  'a kind that is a symbol': () => ({ kind: Symbol('x') }),
  'a name that is a symbol': () => ({ kind: 'useBackend', backend: Symbol('x') }),
  'a list with a symbol': () => [Symbol('x')],
  'a list in a list': () => [[{ kind: 'accept' }]],
  'an object without a prototype': () => Object.create(null),
  'a promise of a Proxy': () => like((done: (it: unknown) => void) => done(new Proxy({}, trap))),
  'a promise of an object whose kind bites': async () =>
    Object.defineProperty({}, 'kind', { get: bites }),
  'a thrown symbol': () => {
    throw Symbol('x')
  },
  'a thrown Proxy': () => {
    throw new Proxy(new Error('x'), trap)
  },
  'a thrown error that bites': () => {
    throw error
  },
  'undefined, thrown': () => {
    throw undefined
  },
  'a rejection with a Proxy': () => Promise.reject(new Proxy(new Error('x'), trap)),
  'a rejection with an error that bites': () => Promise.reject(error),
}

type Rules = NonNullable<Config['frontends'][string]['rules']>

// Lines are written whole at level 'debug', and short above.
for (const [stage, logLevel] of [
  ['connection', 'debug'],
  ['session', 'info'],
  ['handshake', 'debug'],
] as const) {
  for (const [what, answer] of Object.entries(answers)) {
    test(`${stage}: ${what}`, async () => {
      await using proxy = await createTestProxy(
        {
          frontends: {
            web: { bind: '127.0.0.1:1', backend: 'app', rules: { [stage]: [answer] } as Rules },
          },
          backends: { app: { servers: { a: '127.0.0.1:2' } } },
        },
        { logLevel },
      )
      const result = await proxy.connect({ bytes: 'x' })
      assert.equal(result.reason?.by, 'policy')
      assert.equal(result.reason?.code, 'policy-error')
      assert.equal(proxy.stats().frontends.web?.policyErrors, 1)
      assert.equal(result.logs.filter(({ rule, level }) => rule && level === 'error').length, 1)
      // The next one is served as if nothing had been.
      assert.equal((await proxy.connect({ bytes: 'x' })).reason?.code, 'policy-error')
    })
  }
}
