/** The stages of a listener, and what the engine is asked for their sake. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { Config, Duration } from '#sluice/config/types.js'
import type { FlowContext } from '#sluice/flow/context.js'
import { Frontend, Listener } from '#sluice/flow/frontend.js'
import { Observer } from '#sluice/flow/observer.js'
import type { Reporter } from '#sluice/flow/record/reporter.js'
import { stagesOf } from '#sluice/flow/stages.js'
import { accept, startTls } from '#sluice/policy.js'
import { Handshake } from '#sluice/wire/wire.js'

const site = { cert: '/cert.pem', key: '/key.pem' }

function bitNames(bits: number): string {
  const names = Object.entries(Handshake).filter(([, bit]) => (bits & bit) !== 0)
  return names.map(([name]) => name).join(' ')
}

/** What the engine is told of a frontend's only listener, which has its stages. */
function listen(options: Partial<Config['frontends'][string]>) {
  const { frontends } = resolveConfig({
    frontends: { web: { bind: '127.0.0.1:0', backend: 'app', ...options } },
    backends: { app: { servers: { a: '127.0.0.1:1' } } },
  })
  const frontend = new Frontend(frontends[0] as (typeof frontends)[number], undefined, 5000)
  const [bind] = frontend.config.binds
  const listener = new Listener(frontend, bind as NonNullable<typeof bind>)
  const engine = { table: { slots: 4 }, workers: 1 }
  const context = { engine, observer: new Observer() } as unknown as FlowContext
  listener.stages = stagesOf(frontend, listener, context, {} as Reporter)
  for (const [at, stage] of listener.stages.entries()) {
    const entry = listener.entryOf(stage.bit)
    // A question goes to the first stage that answers it, and from there on in one go.
    assert.ok(entry <= at)
    assert.ok(listener.stages.slice(entry, at).every(({ bit }) => bit === stage.bit))
  }
  return { listener, spec: frontend.listenSpec(listener, -1, 0) }
}

/** Names of its stages, and what is asked. */
function stages(options: Partial<Config['frontends'][string]>): [string, string] {
  const { listener, spec } = listen(options)
  const names = listener.stages.map((stage) => stage.constructor.name)
  return [names.join(' '), bitNames(spec.ask)]
}

test('absent policy never crosses', () => {
  assert.deepEqual(stages({}), ['SessionRules Target', 'ACCEPT_SESSION'])
})

test('everything, in its order', () => {
  assert.deepEqual(
    stages({
      bind: { address: '127.0.0.1:0', acceptProxy: { from: ['10.0.0.0/8'] }, tls: site },
      monitor: { from: ['127.0.0.1'] },
      rules: {
        connection: [accept()],
        session: [accept()],
        handshake: [accept()],
        clientHello: [accept()],
        secured: [accept()],
      },
    }),
    [
      'Monitor ProxyHeader ConnectionRules Hello Tls Secured HandshakeRules SessionRules Target',
      'MONITOR_IN ACCEPT_PROXY TCP_RULES TLS CUSTOM ACCEPT_SESSION',
    ],
  )
})

test('established rules run with the first question behind TLS', () => {
  assert.deepEqual(
    stages({
      bind: { address: '127.0.0.1:0', tls: site },
      rules: { secured: [accept()] },
    }),
    ['Hello Tls Secured SessionRules Target', 'TLS ACCEPT_SESSION'],
  )
})

test('TLS that rules start is asked about, and not to be done before', () => {
  const bind = { address: '127.0.0.1:0', tls: site, startTls: 'rule' as const }
  const rules = { clientHello: [accept()], secured: [accept()], handshake: [startTls()] }
  assert.deepEqual(stages({ bind, rules }), [
    'Secured HandshakeRules SessionRules Target Hello Tls',
    'TLS CUSTOM ACCEPT_SESSION',
  ])
})

test('TLVs come with a question of their own where ClientHello rules may want them', () => {
  const bind = { address: '127.0.0.1:0', acceptProxy: true, tls: site }
  assert.equal(stages({ bind })[1], 'ACCEPT_PROXY TLS ACCEPT_SESSION')
  assert.deepEqual(stages({ bind, rules: { clientHello: [accept()] } }), [
    'ProxyHeader ConnectionRules Hello Tls SessionRules Target',
    'ACCEPT_PROXY TCP_RULES TLS ACCEPT_SESSION',
  ])
})

test('the engine waits for the longest question, as long as its stages may take together', () => {
  const slow = (deadline: Duration) => [{ name: 'slow', run: () => undefined, deadline }]
  const timeOf = (options: Parameters<typeof listen>[0]) => listen(options).spec.verdictTimeout
  assert.equal(timeOf({}), 5_100)
  const rules = { connection: slow('1s'), handshake: slow('2s'), session: slow('4s') }
  // A budget for connection rules and one for session rules; those on bytes have deadlines only.
  assert.equal(timeOf({ rules }), 5_000 + 1_000 + 2_000 + 5_000 + 4_000 + 100)
  // The engine's own work is between two questions.
  const bind = { address: '127.0.0.1:0', tls: site }
  assert.equal(timeOf({ bind, rules }), 2_000 + 5_000 + 4_000 + 100)
  const hello = { connection: slow('1s'), clientHello: slow('9s') }
  // Behind its rules the handshake may wait in its queue.
  assert.equal(timeOf({ bind, rules: hello }), 5_000 + 9_000 + 5_000 + 100)
})
