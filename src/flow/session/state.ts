/**
 * States of a stream interface (one side of a session) and the transitions
 * between them. The client's side walks INI EST DIS CLO; the server's side
 *
 * ```text
 *  INI ─ REQ ─┬─────── ASS ── CON ─┬─ EST ─ DIS ─ CLO
 *         │   └─ QUE ──┘ │         │
 *         │              │         CER ── REQ (another server) or ASS (another address)
 *         └───── TAR ────┘          └──── TAR (a pause, then the same server or another one)
 * ```
 *
 * and every state may go to CLO. What a session holds is given back by the
 * transition that leaves the states that hold it, whatever the state before:
 * a session that fails in TAR with a server slot in its hands returns it.
 */

import type { SideState } from '../../policy/live.js'

export const SiState = {
  /** Nothing asked yet. */
  INI: 0,
  /** A target is wanted. */
  REQ: 1,
  /** Waiting for a server slot. */
  QUE: 2,
  /** Turn-around: waiting before the next attempt. */
  TAR: 3,
  /** A server is assigned and its slot taken. */
  ASS: 4,
  /** Connecting. */
  CON: 5,
  /** The connection failed. */
  CER: 6,
  /** Established. */
  EST: 7,
  /** Disconnected; what is left is the accounting. */
  DIS: 8,
  /** Closed. */
  CLO: 9,
} as const satisfies Record<SideState, number>

export type SiStateName = SideState

export const SiStateNames: readonly SiStateName[] = [
  'INI',
  'REQ',
  'QUE',
  'TAR',
  'ASS',
  'CON',
  'CER',
  'EST',
  'DIS',
  'CLO',
]

/** Which side of a session a stream interface stands for. */
export const Side = { CLIENT: 0, SERVER: 1 } as const

function states(...names: SiStateName[]): number {
  return names.reduce((mask, name) => mask | (1 << SiState[name]), 0)
}

/** Bitset of the states that may follow, by state. */
const clientTransitions: readonly number[] = [
  states('EST', 'CLO'), // INI
  0, // REQ
  0, // QUE
  0, // TAR
  0, // ASS
  0, // CON
  0, // CER
  states('DIS', 'CLO'), // EST
  states('CLO'), // DIS
  0, // CLO
]

const serverTransitions: readonly number[] = [
  states('REQ', 'CLO'), // INI
  states('QUE', 'ASS', 'CLO'), // REQ
  states('ASS', 'CLO'), // QUE
  states('ASS', 'REQ', 'CLO'), // TAR: REQ for another server, ASS for the same one
  states('CON', 'CER', 'EST', 'CLO'), // ASS: EST for an applet, CER without an address
  states('EST', 'CER', 'CLO'), // CON
  states('TAR', 'REQ', 'ASS', 'CLO'), // CER: ASS for another address of the same server
  states('DIS', 'CLO'), // EST
  states('CLO'), // DIS
  0, // CLO
]

const tables = [clientTransitions, serverTransitions] as const

/** Whether a stream interface of `side` may go from one state to the other. */
export function mayFollow(side: 0 | 1, from: number, to: number): boolean {
  return ((tables[side][from] as number) & (1 << to)) !== 0
}

/** States in which the server's side holds a server slot. */
const SLOT_STATES = states('TAR', 'ASS', 'CON', 'CER', 'EST', 'DIS')

export function holdsSlot(state: number): boolean {
  return (SLOT_STATES & (1 << state)) !== 0
}
