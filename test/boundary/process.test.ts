/** How a process ends that has an engine: by its own exit code, never by a signal, never late. */

import assert from 'node:assert/strict'
import { type DoorbellKind, doorbellTest, runProgram } from './support.js'

/** Checks the exit code, that no signal ended it, and that it had nothing to complain about. */
async function endsWith(
  doorbell: DoorbellKind,
  code: number,
  name: string,
  ...args: string[]
): Promise<string> {
  const outcome = await runProgram(doorbell, name, ...args)
  const { stdout, stderr } = outcome
  assert.deepEqual({ code: outcome.code, signal: outcome.signal }, { code, signal: null }, stderr)
  if (code === 0) assert.equal(stderr, '')
  return stdout + stderr
}

doorbellTest('process.exit() with queued events and open connections', async (doorbell) => {
  await endsWith(doorbell, 7, 'exit', 'exit')
})

doorbellTest('process.exit() in the middle of a batch of events', async (doorbell) => {
  await endsWith(doorbell, 7, 'exit', 'exit-in-handler')
})

doorbellTest('an exception of the program ends it as one', async (doorbell) => {
  assert.match(await endsWith(doorbell, 1, 'exit', 'throw'), /thrown by the program/)
})

doorbellTest('a rejection that nobody handles ends it as one', async (doorbell) => {
  assert.match(await endsWith(doorbell, 1, 'exit', 'reject'), /rejected by the program/)
})

doorbellTest('SIGTERM without a handler ends it by that signal', async (doorbell) => {
  const { code, signal } = await runProgram(doorbell, 'exit', 'sigterm')
  assert.deepEqual({ code, signal }, { code: null, signal: 'SIGTERM' })
})

doorbellTest('it ends by itself when the last listener is closed', async (doorbell) => {
  assert.equal(await endsWith(doorbell, 0, 'exit', 'last-listener'), 'by itself\n')
})

doorbellTest('it stays while there is a listener', async (doorbell) => {
  assert.equal(await endsWith(doorbell, 0, 'exit', 'listening'), 'still here\n')
})

doorbellTest('it ends by itself when the engine has stopped', async (doorbell) => {
  assert.equal(await endsWith(doorbell, 0, 'exit', 'stop'), 'stopped\n')
})

doorbellTest('a panic in an export is an exception', async (doorbell) => {
  const { code, signal, stdout } = await runProgram(doorbell, 'panic', 'export')
  assert.deepEqual({ code, signal }, { code: 0, signal: null })
  assert.match(stdout, /^exception: .*asked to panic.*\nalive\n$/)
})

doorbellTest(
  'a panic in a worker is fatal, is told, and the process ends by itself',
  async (doorbell) => {
    const { code, signal, stdout } = await runProgram(doorbell, 'panic', 'worker')
    assert.deepEqual({ code, signal }, { code: 0, signal: null })
    assert.match(stdout, /^fatal: .*worker [01] of the native engine died.*\nstopped\n$/)
  },
)

doorbellTest('a proxy whose engine dies stops and says so', async (doorbell) => {
  const { code, signal, stdout } = await runProgram(doorbell, 'panic', 'proxy')
  assert.deepEqual({ code, signal }, { code: 0, signal: null })
  assert.match(stdout, /^error: worker 1 of the native engine died/)
})

doorbellTest('handlers that throw, and a fault that throws, stop nobody else', async (doorbell) => {
  const stdout = await endsWith(doorbell, 0, 'fault')
  assert.equal(stdout, 'asked 30, uncaught 10\n')
})

doorbellTest(
  'an engine whose handle is collected stops, and the process lives',
  async (doorbell) => {
    const stdout = await endsWith(doorbell, 0, 'collected')
    assert.equal(stdout, 'collected: handle, memory, table\nthreads 0, refused\n')
  },
)

doorbellTest('a hundred engines, one after the other, leave nothing behind', async (doorbell) => {
  assert.equal(await endsWith(doorbell, 0, 'collected', 'many'), 'threads 0, descriptors 0\n')
})
