/** Names in what rules answer: those that the configuration has not are errors where it is at hand. */

import {
  type Connection,
  createProxy,
  defineConfig,
  type Rule,
  type Verdict,
} from '#sluice/index.js'
import {
  consume,
  expectProxy,
  more,
  passthrough,
  type RuleFunction,
  reject,
  send,
  startTls,
  track,
  useBackend,
  useCertificate,
  useServer,
} from '#sluice/policy.js'

const tables = { seen: { key: 'ip', size: 1000 } } as const
const backends = { app: { servers: { a: '127.0.0.1:1' } }, api: { servers: { b: '127.0.0.1:2' } } }

function typo() {
  return useBackend('typo')
}
function sometimes(conn: Connection) {
  return conn.src === '' ? useBackend('app') : useBackend('typo')
}
async function later() {
  return useBackend('typo')
}
const right = (conn: Connection) => (conn.src === '' ? useBackend('api') : undefined)
// Whose names are known to nobody.
const rule: Rule = () => useBackend('typo')
const run: RuleFunction = (conn) => [track('sc0', conn.src, 'typo'), useBackend('typo')]
const verdict: Verdict = useBackend('typo')
const computed = (conn: Connection) => useBackend(conn.frontend)

defineConfig({
  tables,
  backends,
  frontends: {
    web: {
      bind: ':0',
      backend: 'app',
      rules: {
        connection: [
          right,
          rule,
          run,
          verdict,
          computed,
          reject(),
          useBackend('app'),
          track('sc0', 'everybody', 'seen'),
          track('sc0', (conn) => conn.src, 'seen'),
          (conn) => (conn.src === '' && reject() ? useBackend('app') : undefined),
          async (conn) => [track('sc1', conn.src, 'seen'), useBackend('api')],
          { name: 'named', run: (conn) => (conn.srcPort > 0 ? useBackend('api') : reject()) },
          (conn) => {
            conn.vars.seen = true
          },
        ],
      },
    },
  },
})

defineConfig({
  tables,
  backends,
  frontends: {
    web: {
      bind: ':0',
      rules: {
        connection: [
          // @ts-expect-error: no such backend
          (_conn) => useBackend('typo'),
          // @ts-expect-error: no such backend
          () => {
            return useBackend('typo')
          },
          // @ts-expect-error: no such backend
          typo,
          // @ts-expect-error: no such backend
          sometimes,
          // @ts-expect-error: no such backend
          later,
          // @ts-expect-error: no such backend
          useBackend('typo'),
          // @ts-expect-error: no such backend
          (conn) => [track('sc0', conn.src, 'seen'), useBackend('typo')],
          // @ts-expect-error: no such table
          (conn) => track('sc0', conn.src, 'typo'),
          // @ts-expect-error: no such table
          track('sc0', (conn) => conn.src, 'typo'),
          // @ts-expect-error: no such table
          track('sc0', 'everybody', 'typo'),
          {
            name: 'named',
            // @ts-expect-error: no such backend
            run: () => useBackend('typo'),
          },
        ],
        handshake: [
          // @ts-expect-error: no such backend
          (conn) => (conn.last ? useBackend('typo') : undefined),
          // @ts-expect-error: no such backend
          (_conn) => useServer('typo', 'a'),
        ],
      },
    },
  },
})

// Where a name is a `string`, the compiler knows nothing of names: `sluice check` does.
const named: string = process.argv[2] ?? 'app'
createProxy({
  backends,
  frontends: {
    web: { bind: ':0', backend: named, rules: { session: [() => useBackend('typo')] } },
  },
})

// Verdicts of one stage, in another: in place, from a function, in a list, as a constant.
const anyStage: Rule = () => more()
const anyVerdict: Verdict = startTls()
const waits = () => more()

defineConfig({
  backends,
  frontends: {
    web: {
      bind: ':0',
      backend: 'app',
      rules: {
        connection: [
          anyStage,
          anyVerdict,
          () => expectProxy(),
          // @ts-expect-error it is for handshake rules
          waits,
          // @ts-expect-error the same
          more(),
          // @ts-expect-error the same
          () => [reject(), startTls()],
        ],
        clientHello: [
          passthrough(),
          () => [useBackend('app'), useCertificate('a')],
          // @ts-expect-error it is for connection rules
          expectProxy(),
        ],
        handshake: [
          waits,
          ({ bytes, last }) => (bytes.length === 0 && !last ? more() : consume(1)),
          { name: 'greets', speaksFirst: true, run: () => [send('hi'), more()] },
          // @ts-expect-error it is for ClientHello rules
          () => passthrough(),
        ],
        session: [
          // @ts-expect-error it is for handshake rules
          async () => send('x'),
        ],
      },
    },
  },
})
