/** Environments (threads of Node) that end while their engine runs. */

import assert from 'node:assert/strict'
import { doorbellTest, runProgram } from './support.js'

for (const [how, what] of [
  ['exit', 'a worker thread that exits under its engine'],
  ['throw', 'a worker thread that dies of an exception under its engine'],
  ['terminate', 'worker.terminate() under its engine'],
  ['two', 'two environments at once: one goes, the other serves on'],
] as const) {
  doorbellTest(`${what}: the process survives`, async (doorbell) => {
    const { code, signal, stdout, stderr } = await runProgram(doorbell, 'environments', how)
    assert.deepEqual({ code, signal, stdout }, { code: 0, signal: null, stdout: 'alive\n' }, stderr)
  })
}
