/** Table handles know what their table stores, and which keys it takes. */

import { defineConfig } from '#sluice/index.js'
import { type Connection, defineTable, type TableView, type TrackedEntry } from '#sluice/policy.js'

const sources = defineTable({
  key: 'ip',
  size: 1000,
  expire: '10m',
  store: { connRate: '10s', gpc0: true, serverId: true, gpc1: false },
})
const users = defineTable({ key: 'string', size: 10, keyLength: 64, store: { gpc0Rate: '1m' } })
const numbers = defineTable({ key: 'integer', size: 10 })

export const config = defineConfig({
  tables: { sources, users, numbers, plain: { key: 'ip', size: 1 } },
  frontends: {},
  backends: {},
})

export function entries(conn: Connection): void {
  const seen = sources.track(conn)
  const rate: number = seen.connRate
  seen.gpc0 += rate
  const { tracked, key }: { tracked: boolean; key: string | number | undefined } = seen
  void [tracked, key, seen.serverId]
  // @ts-expect-error: rates are read only
  seen.connRate = 1
  // @ts-expect-error: what is not writable by policies
  seen.serverId = 1
  // @ts-expect-error: not stored
  void seen.connCur
  // @ts-expect-error: stored: false
  void seen.gpc1
  // Feeds the rate that is stored alone.
  users.track(conn, 'name').gpc0++
  // @ts-expect-error: nothing is stored but the key
  void numbers.track(conn, 1).gpc0
  const any: TrackedEntry = seen as never
  void any.connCur
}

export function keys(conn: Connection): void {
  sources.track(conn, '192.0.2.1')
  sources.track(conn, new Uint8Array(4))
  users.track(conn, conn.hello?.serverName)
  numbers.track(conn, conn.dstPort)
  // @ts-expect-error: there is no key to take by itself
  users.track(conn)
  // @ts-expect-error: no key
  sources.track(conn, {})
  // @ts-expect-error: bytes are no integer
  numbers.track(conn, new Uint8Array(4))
  // @ts-expect-error: not a connection
  sources.track('192.0.2.1')
}

export function byKey(conn: Connection): void {
  const now = sources.get('192.0.2.1')
  const rate: number | undefined = now?.connRate
  void rate
  // @ts-expect-error: perhaps there is none
  void now.connRate
  // @ts-expect-error: what get gives is of one moment
  if (now) now.gpc0 = 1
  // @ts-expect-error: not stored
  void now?.connCur
  sources.set('192.0.2.1', { gpc0: 1, connRate: 5, serverId: 2 })
  users.set('name', { gpc0: 1 })
  // @ts-expect-error: not stored
  sources.set('192.0.2.1', { gpt0: 1 })
  for (const { key, data } of numbers.entries(10)) {
    const number: number = key
    void [number, data]
  }
  for (const { key, data, uses, idle } of sources.of(conn).entries()) {
    const text: string = key
    void [text, data.gpc0, uses, idle]
  }
  const view: TableView<'ip', { connRate: '10s'; gpc0: true }> = sources.of(conn) as never
  void view
}

// @ts-expect-error: there is no such counter
defineTable({ key: 'ip', size: 1, store: { connRate: '10s', gpc7: true } })
// @ts-expect-error: a rate names its window
defineTable({ key: 'ip', size: 1, store: { connRate: true } })
// @ts-expect-error: a duration has a unit
defineTable({ key: 'ip', size: 1, store: { connRate: 10 } })
// @ts-expect-error: no such type of key
defineTable({ key: 'ipv5', size: 1 })
// @ts-expect-error: a table has a size
defineTable({ key: 'ip' })
// @ts-expect-error: no such option
defineTable({ key: 'ip', size: 1, expires: '1m' })
