/**
 * The decode twin: prints any word of the connection table in words, in the
 * spirit of the debugging line in notes-connection-commits.txt.
 */

import { formatReason } from './reason.js'
import type { ConnectionTable } from './table.js'
import { CloseOp, ConnFlag, ConnState, Family, Field, Handshake, Step } from './wire.js'

type Names = Readonly<Record<string, number>>

/** Names of the set bits, in order of the bits; unknown bits in hexadecimal. */
function bits(word: number, names: Names): string[] {
  const words: string[] = []
  let rest = word
  for (const [name, bit] of Object.entries(names)) {
    if ((word & bit) === 0) continue
    words.push(name)
    rest &= ~bit
  }
  if (rest !== 0) words.push(`0x${(rest >>> 0).toString(16)}`)
  return words
}

function nameOf(value: number, names: Names): string {
  for (const [name, known] of Object.entries(names)) if (known === value) return name
  return String(value)
}

/** The two-bit steps: name and the position of the low bit. */
const steps = Object.entries(ConnFlag)
  .filter(([name]) => name.endsWith('_STARTED'))
  .map(([name, bit]) => ({ name: name.slice(0, -'_STARTED'.length), low: Math.log2(bit) }))
const stepMask = steps.reduce((mask, step) => mask | (3 << step.low), 0)

/** 'CTRL_INIT CTRL_CONNECTED PROXY_IN=completed'; '-' for no flag. */
export function decodeFlags(flags: number): string {
  const words = bits(flags & ~stepMask, ConnFlag)
  for (const { name, low } of steps) {
    const step = (flags >>> low) & 3
    if (step !== Step.NOT_WANTED) words.push(`${name}=${nameOf(step, Step).toLowerCase()}`)
  }
  return words.join(' ') || '-'
}

/** 'DSHW:done CSHR:wanted'; '-' for none. Done without wanted cannot be, and is shown as 'unwanted'. */
export function decodeCloseOps(word: number): string {
  const words: string[] = []
  for (const name of ['DSHR', 'DSHW', 'CSHR', 'CSHW'] as const) {
    const wanted = (word & CloseOp[name]) !== 0
    const done = (word & CloseOp[`${name}_DONE`]) !== 0
    if (wanted || done) words.push(`${name}:${done ? (wanted ? 'done' : 'unwanted') : 'wanted'}`)
  }
  return words.join(' ') || '-'
}

/** 'ACCEPT_PROXY ACCEPT_SESSION'; '-' for none. */
export function decodeHandshakes(word: number): string {
  return bits(word, Handshake).join(' ') || '-'
}

export function decodeConnState(state: number): string {
  return nameOf(state, ConnState)
}

/** 'by/phase/code'; '-' for none. */
export function decodeReason(reason: number): string {
  return reason === 0 ? '-' : formatReason(reason)
}

/**
 * Both connections of a session, named by its client's, and what waits in each direction:
 * 'rq=blocked rp=- client=[...] server=[...]'. `rq` is what goes to the server, `rp` what comes
 * from it.
 */
export function decodeSession(table: ConnectionTable, conn: number): string {
  const peer = table.get(conn, Field.PEER)
  const server = peer < 0 ? '-' : decodeConnection(table, peer)
  return [
    `rq=${decodeDirection(table.get(conn, Field.FLAGS))}`,
    `rp=${peer < 0 ? '-' : decodeDirection(table.get(peer, Field.FLAGS))}`,
    `client=[${decodeConnection(table, conn)}]`,
    `server=[${server}]`,
  ].join(' ')
}

/** How what a connection sends stands, given its flags: 'blocked', 'shut', or '-' where it flows. */
function decodeDirection(flags: number): string {
  if (flags & ConnFlag.HELD_BACK) return 'blocked'
  return flags & ConnFlag.SHR ? 'shut' : '-'
}

/** One line with everything the table holds of a connection. */
export function decodeConnection(table: ConnectionTable, conn: number): string {
  const family = nameOf(table.get(conn, Field.FAMILY), Family)
  return [
    `conn=${conn}.${table.generation(conn)}`,
    `cs=${decodeConnState(table.get(conn, Field.STATE))}`,
    `peer=${table.get(conn, Field.PEER)}`,
    `family=${family}`,
    `src=${table.src(conn)}:${table.srcPort(conn)}`,
    `dst=${table.dst(conn)}:${table.dstPort(conn)}`,
    `in=${table.bytesIn(conn)}`,
    `out=${table.bytesOut(conn)}`,
    `hh=[${decodeHandshakes(table.get(conn, Field.HANDSHAKES))}]`,
    `flags=[${decodeFlags(table.get(conn, Field.FLAGS))}]`,
    `close=[${decodeCloseOps(table.get(conn, Field.CLOSE_OPS))}]`,
    `reason=${decodeReason(table.get(conn, Field.REASON))}`,
  ].join(' ')
}
