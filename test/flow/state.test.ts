import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Sides } from '#sluice/flow/session/sides.js'
import {
  holdsSlot,
  mayFollow,
  SiState,
  type SiStateName,
  SiStateNames,
} from '#sluice/flow/session/state.js'

const server: Record<SiStateName, SiStateName[]> = {
  INI: ['REQ', 'CLO'],
  REQ: ['QUE', 'ASS', 'CLO'],
  QUE: ['ASS', 'CLO'],
  TAR: ['REQ', 'ASS', 'CLO'],
  ASS: ['CON', 'CER', 'EST', 'CLO'],
  CON: ['CER', 'EST', 'CLO'],
  CER: ['REQ', 'TAR', 'ASS', 'CLO'],
  EST: ['DIS', 'CLO'],
  DIS: ['CLO'],
  CLO: [],
}
const client: Partial<Record<SiStateName, SiStateName[]>> = {
  INI: ['EST', 'CLO'],
  EST: ['DIS', 'CLO'],
  DIS: ['CLO'],
}

test('the transition tables of both sides', () => {
  for (const from of SiStateNames) {
    for (const to of SiStateNames) {
      const [a, b] = [SiState[from], SiState[to]]
      assert.equal(mayFollow(1, a, b), server[from].includes(to), `server ${from} -> ${to}`)
      assert.equal(
        mayFollow(0, a, b),
        client[from]?.includes(to) ?? false,
        `client ${from} -> ${to}`,
      )
    }
  }
})

test('every state reaches CLO, and CLO is the end', () => {
  for (const name of SiStateNames) {
    if (name !== 'CLO') assert.ok(mayFollow(1, SiState[name], SiState.CLO), name)
  }
})

test('a slot is taken on the way into ASS or TAR and given back on the way out of the holding states', () => {
  const holding = SiStateNames.filter((name) => holdsSlot(SiState[name]))
  assert.deepEqual(holding, ['TAR', 'ASS', 'CON', 'CER', 'EST', 'DIS'])
})

/** Writes down what it is told. */
class Told extends Sides {
  readonly told: string[] = []
  readonly client = { id: '', slot: 0, generation: 1, decided: 0 }
  readonly backend = undefined
  readonly server = undefined
  readonly lastFailure = 0

  protected moved(side: 0 | 1, from: number, to: number): void {
    this.told.push(`${side} ${from}-${to}`)
  }

  protected illegal(side: 0 | 1, from: number, to: number): void {
    this.told.push(`illegal ${side} ${from}-${to}`)
  }
}

test('an illegal transition changes nothing and is told', () => {
  const session = new Told()
  assert.equal(session.transition(1, SiState.EST), false)
  assert.equal(session.serverState, SiState.INI)
  assert.equal(session.transition(1, SiState.REQ), true)
  assert.equal(session.transition(0, SiState.EST), true)
  session.finish()
  assert.equal(session.serverState, SiState.CLO)
  assert.equal(session.clientState, SiState.CLO)
  // Finished sessions stay finished.
  session.finish()
  assert.equal(session.transition(1, SiState.REQ), false)
  assert.deepEqual(session.told, [
    'illegal 1 0-7',
    '1 0-1',
    '0 0-7',
    '1 1-9',
    '0 7-8',
    '0 8-9',
    'illegal 1 9-1',
  ])
})
