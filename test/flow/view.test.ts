/** What policies hold is a `Connection`, and nothing more, wherever they are handed one. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConnectionView } from '#sluice/flow/view.js'
import {
  type AppletStream,
  type Connection,
  defineApplet,
  type FirstBytes,
} from '#sluice/policy.js'
import { TABLE, TRACK } from '#sluice/tables/handle.js'
import { settle } from '#sluice/testing/clock.js'
import { harness, web } from '../support/harness.js'

/** `bytes` and `last` are for handshake rules. */
const MEMBERS: readonly (keyof FirstBytes)[] = [
  ...(['id', 'frontend', 'src', 'srcPort', 'dst', 'dstPort', 'peer', 'proxyTlvs'] as const),
  ...(['tls', 'hello', 'bytesIn', 'bytesOut', 'sc0', 'sc1', 'sc2'] as const),
  ...(['vars', 'fields', 'priority', 'timeouts', 'now', 'backend'] as const),
  ...(['log', 'signal', 'bytes', 'last'] as const),
]

/** By symbols of our own, which policies do not have. */
const FOR_HANDLES = [TABLE, TRACK].map(String)

function membersOf(value: object): string[] {
  const names: string[] = []
  for (let at = value; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    names.push(...Reflect.ownKeys(at).map(String))
  }
  return names.filter((name) => name !== 'constructor').sort()
}

test('every policy is given the same object, which has the members of a Connection', async () => {
  const seen = new Map<string, Connection>()
  const see = (place: string) => (conn: Connection) => {
    seen.set(place, conn)
    return undefined
  }
  const held: AppletStream[] = []
  const applet = defineApplet('end', (stream, conn) => {
    seen.set('applet', conn)
    held.push(stream)
    return stream.end()
  })
  const { engine, proxy } = await harness({
    frontends: web({
      rules: {
        connection: [see('connection')],
        session: [see('session')],
        handshake: [see('handshake')],
      },
    }),
    backends: {
      app: {
        balance: { algorithm: 'hash', key: (conn) => see('hash')(conn) ?? conn.src },
        servers: { a: applet, b: applet },
      },
    },
  })
  const client = engine.accept()
  client.send('x')
  await settle()
  const places = ['applet', 'connection', 'handshake', 'hash', 'session']
  assert.deepEqual([...seen.keys()].sort(), places)
  const [conn] = seen.values()
  for (const [place, each] of seen) assert.equal(each, conn, place)
  assert.ok(conn instanceof ConnectionView)
  assert.deepEqual(membersOf(conn), [...MEMBERS, ...FOR_HANDLES].sort())
  const streamMembers = ['Symbol(Symbol.asyncIterator)', 'end', 'read', 'reset', 'signal', 'write']
  assert.deepEqual(held.map(membersOf), [streamMembers])
  client.fin()
  await settle()
  // Behind the end it still says what it said.
  assert.equal(conn.src, '192.0.2.1')
  assert.equal(conn.srcPort > 0, true)
  assert.equal(conn.bytesIn, 1)
  await proxy.stop({ deadline: '0s' })
})
