/** The model of the contract that the js engine and the test engine share. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  Exchange,
  Inactivity,
  OwnTimeouts,
  PendingHandshakes,
  Runner,
} from '#sluice/engine/model.js'
import { VirtualClock } from '#sluice/testing/index.js'
import { By, Code, Handshake, Phase, Timeout } from '#sluice/wire/wire.js'

const { HEALTH, MONITOR_IN, ACCEPT_PROXY, TCP_RULES, TLS, CUSTOM, ACCEPT_SESSION } = Handshake

const client = { clientTimeout: 100, clientFinTimeout: 10 }
const server = { serverTimeout: 200, serverFinTimeout: 20, tunnelTimeout: 1000 }

/** What holds for the client, then for the server. */
function limitsOf(exchange: Exchange): [number, number][] {
  return [By.CLIENT, By.SERVER].map((by) => [exchange.limit(by), exchange.timeoutCode(by)])
}

test('which time-out holds: from the first byte to the half-closed session', () => {
  const exchange = new Exchange(client, server)
  const separate = [
    [100, Code.CLIENT_TIMEOUT],
    [200, Code.SERVER_TIMEOUT],
  ]
  assert.deepEqual(limitsOf(exchange), separate)
  exchange.speaks(By.CLIENT)
  exchange.speaks(By.CLIENT)
  assert.equal(exchange.mutual, false)
  assert.deepEqual(limitsOf(exchange), separate)
  exchange.speaks(By.SERVER)
  assert.equal(exchange.tunnel, true)
  const tunnel = [1000, Code.TUNNEL_TIMEOUT]
  assert.deepEqual(limitsOf(exchange), [tunnel, tunnel])
  assert.equal(exchange.phase, Phase.DATA)
  exchange.ends(By.SERVER)
  exchange.ends(By.CLIENT)
  assert.equal(exchange.firstFin, By.SERVER)
  assert.equal(exchange.phase, Phase.CLOSE)
  assert.equal(exchange.tunnel, false)
  assert.deepEqual(limitsOf(exchange), [
    [10, Code.CLIENT_FIN_TIMEOUT],
    [20, Code.SERVER_FIN_TIMEOUT],
  ])
})

test('what policy gave the connection holds, and is taken back', () => {
  const own = new OwnTimeouts()
  const exchange = new Exchange(client, server, own)
  own.set(Timeout.CLIENT, 1)
  own.set(Timeout.SERVER, 0)
  assert.deepEqual([exchange.limit(By.CLIENT), exchange.limit(By.SERVER)], [1, 0])
  own.set(Timeout.CLIENT, -1)
  assert.deepEqual([exchange.limit(By.CLIENT), exchange.limit(By.SERVER)], [100, 0])
  exchange.speaks(By.CLIENT)
  exchange.speaks(By.SERVER)
  own.set(Timeout.TUNNEL, 0)
  assert.equal(exchange.tunnel, false)
  own.set(Timeout.TUNNEL, 2)
  assert.deepEqual([exchange.tunnel, exchange.limit(By.SERVER)], [true, 2])
  exchange.ends(By.CLIENT)
  own.set(Timeout.CLIENT_FIN, 0)
  own.set(Timeout.SERVER_FIN, 3)
  assert.deepEqual(limitsOf(exchange), [
    [100, Code.CLIENT_TIMEOUT],
    [3, Code.SERVER_FIN_TIMEOUT],
  ])
})

test('time-outs that are not configured: the longer one stays, and none is no limit', () => {
  const none = { serverTimeout: 200, serverFinTimeout: 0, tunnelTimeout: 0 }
  const exchange = new Exchange({ clientTimeout: 0, clientFinTimeout: 0 }, none)
  exchange.speaks(By.CLIENT)
  exchange.speaks(By.SERVER)
  assert.equal(exchange.tunnel, false)
  exchange.ends(By.CLIENT)
  assert.deepEqual(limitsOf(exchange), [
    [0, Code.CLIENT_TIMEOUT],
    [200, Code.SERVER_TIMEOUT],
  ])
  assert.equal(new Exchange(client, undefined).limit(By.SERVER), 0)
})

test('a silent side ends, one that is not awaited starts anew, a shared activity counts for both', () => {
  const clock = new VirtualClock(0)
  const told: string[] = []
  const awaited = { left: true, right: false }
  const side = (name: 'left' | 'right', ms: number) => ({
    name,
    side: { activity: 0 },
    limit: () => ms,
    isAwaited: () => awaited[name],
  })
  const [left, right] = [side('left', 100), side('right', 50)]
  let shared = false
  const inactivity = new Inactivity(
    clock,
    [left, right],
    ({ name }) => told.push(`${name} at ${clock.now()}`),
    () => shared,
  )
  inactivity.check()
  clock.advance('60ms')
  left.side.activity = clock.now()
  clock.advance('90ms')
  // Nobody waited for it until now.
  awaited.right = true
  shared = true
  right.side.activity = clock.now()
  inactivity.check()
  assert.equal(left.side.activity, 150)
  clock.advance('49ms')
  assert.deepEqual(told, [])
  clock.advance('1ms')
  assert.deepEqual(told, ['right at 200'])
  inactivity.stop()
  inactivity.check()
  assert.equal(clock.pending, 0)
})

test('who runs a handshake: lowest bit first, and what policy leaves to the engine', () => {
  const all = HEALTH | MONITOR_IN | ACCEPT_PROXY | TCP_RULES | TLS | CUSTOM
  const pending = new PendingHandshakes(all, ACCEPT_PROXY | TLS)
  assert.equal(pending.bits, all | ACCEPT_SESSION)
  assert.deepEqual([pending.first, pending.runner], [HEALTH, Runner.ENGINE])
  pending.done(HEALTH)
  // Policy's own, and nobody asks for it.
  assert.deepEqual([pending.first, pending.runner], [MONITOR_IN, Runner.NOBODY])
  pending.done(MONITOR_IN)
  assert.deepEqual([pending.first, pending.runner], [ACCEPT_PROXY, Runner.POLICY])
  assert.equal(pending.ask(), ACCEPT_PROXY)
  assert.ok(pending.accepts(0, 0))
  pending.proceed(0, 0)
  assert.deepEqual([pending.asking, pending.runner], [0, Runner.ENGINE])
  pending.done(ACCEPT_PROXY)
  pending.done(TCP_RULES)
  assert.equal(pending.ask(), TLS)
  pending.proceed(0, 0)
  assert.equal(pending.runner, Runner.ENGINE)
  pending.done(TLS)
  pending.done(CUSTOM)
  // Always asked, whatever the listener says.
  assert.deepEqual([pending.first, pending.runner], [ACCEPT_SESSION, Runner.POLICY])
  pending.ask()
  assert.equal(pending.accepts(0, 0), false)
  assert.ok(pending.accepts(0, ACCEPT_PROXY))
  pending.allDone()
  assert.equal(pending.runner, Runner.NONE)
})

test('a late verdict that opens: no policy any more, but headers are still read', () => {
  const pending = new PendingHandshakes(ACCEPT_PROXY | TCP_RULES | CUSTOM, TCP_RULES | CUSTOM)
  pending.done(ACCEPT_PROXY)
  pending.ask()
  pending.open()
  assert.deepEqual([pending.opened, pending.asking, pending.first], [true, 0, CUSTOM])
  assert.equal(pending.runner, Runner.NOBODY)
  pending.done(CUSTOM)
  assert.equal(pending.runner, Runner.FALLBACK)
  const early = new PendingHandshakes(ACCEPT_PROXY, ACCEPT_PROXY)
  early.ask()
  early.open()
  assert.deepEqual([early.first, early.runner], [ACCEPT_PROXY, Runner.ENGINE])
})
