/**
 * The synchronous path of policy, without an engine: HANDSHAKE, one rule, a session, CONNECT,
 * CLOSED. After npm run build:ts:
 * node --expose-gc --min-semi-space-size=512 --max-semi-space-size=512 bench/micro/flow.mjs
 */

import { EngineEvent } from '#sluice/engine/event.js'
import { accept, track } from '#sluice/policy.js'
import { createProxy } from '#sluice/proxy/create.js'
import { packReason } from '#sluice/wire/reason.js'
import { ConnectionTable } from '#sluice/wire/table.js'
import { By, Code, Family, Field, Handshake, Layout, Phase } from '#sluice/wire/wire.js'
import { garbage, measure } from './measure.mjs'

const CONNECTIONS = 500_000
const SLOTS = 1024
const DONE = packReason(By.CLIENT, Phase.DATA, Code.DONE)
const NOTHING = () => {}
const silent = { level: 'silent', isLevelEnabled: () => false, child: () => silent }
for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) silent[level] = NOTHING

/** Answers nothing and counts what it is told. */
class Engine {
  kind = 'js'
  workers = 1
  takesOddServerNames = true
  table = new ConnectionTable(new Int32Array(SLOTS * Layout.CONNECTION_WORDS))
  connects = 0
  start(events) {
    this.events = events
  }
  listen() {
    return Promise.resolve({
      listener: 0,
      address: { family: 'IPv4', address: '127.0.0.1', port: 1 },
    })
  }
  connect() {
    this.connects++
  }
  route() {
    return 0
  }
  stats() {
    return { connections: 0 }
  }
  stop() {
    return Promise.resolve()
  }
}
for (const name of 'unlisten pause unroute proceed close reply eager'.split(' ')) {
  Engine.prototype[name] = NOTHING
}

async function world(rules) {
  const engine = new Engine()
  const proxy = createProxy(
    {
      tables: { ips: { key: 'ip', size: 1000, store: { connCur: true } } },
      frontends: { web: { bind: '127.0.0.1:1', backend: 'app', rules } },
      backends: { app: { servers: { a: '127.0.0.1:2', b: '127.0.0.1:3' } } },
    },
    { engine, logger: silent },
  )
  await proxy.start()
  return engine
}

function life({ table, events }, bit) {
  const event = new EngineEvent()
  event.listener = 0
  event.reason = DONE
  event.clock = 5
  event.connectTime = 1
  return (count) => {
    for (let n = 0; n < count; n++) {
      const slot = n & (SLOTS - 1)
      const generation = 1 + (n >> 10)
      table.set(slot, Field.GENERATION, generation)
      table.set(slot, Field.FAMILY, Family.INET)
      table.set(slot, Field.SRC, 0x7f000001 + (n & 255))
      table.set(slot, Field.HANDSHAKES, bit | Handshake.ACCEPT_SESSION)
      event.conn = slot
      event.generation = generation
      event.bit = bit
      events.handshake(event)
      events.closed(event)
    }
    return count
  }
}

const refuse = '192.0.2.1'
const cases = {
  'a rule that tracks the source': { connection: [track('sc0', (conn) => conn.src, 'ips')] },
  'a constant verdict': { connection: [accept()] },
  'no rule': {},
  'a rule that looks at nothing': { connection: [() => undefined] },
  'a rule on the source': {
    connection: [(conn) => (conn.src === refuse ? { kind: 'reject' } : undefined)],
  },
  'three rules': {
    connection: [() => undefined, (conn) => (conn.src === refuse ? { kind: 'reject' } : undefined)],
    session: [() => ({ kind: 'accept' })],
  },
}
for (const [name, rules] of Object.entries(cases)) {
  const engine = await world(rules)
  const bit = rules.connection ? Handshake.TCP_RULES : Handshake.ACCEPT_SESSION
  measure(`a connection, ${name}`, CONNECTIONS, life(engine, bit))
  garbage(`a connection, ${name}`, 100_000, life(engine, bit))
}
process.exit()
