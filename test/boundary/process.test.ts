/** How a process ends that has an engine: by its own exit code, never by a signal, never late. */

import assert from 'node:assert/strict'
import { boundaryTest, runProgram } from './support.js'

/** Checks the exit code, that no signal ended it, and that it had nothing to complain about. */
async function endsWith(code: number, name: string, ...args: string[]): Promise<string> {
  const outcome = await runProgram(name, ...args)
  const { stdout, stderr } = outcome
  assert.deepEqual({ code: outcome.code, signal: outcome.signal }, { code, signal: null }, stderr)
  if (code === 0) assert.equal(stderr, '')
  return stdout + stderr
}

boundaryTest('process.exit() with queued events and open connections', async () => {
  await endsWith(7, 'exit', 'exit')
})

boundaryTest('process.exit() in the middle of a batch of events', async () => {
  await endsWith(7, 'exit', 'exit-in-handler')
})

boundaryTest('an exception of the program ends it as one', async () => {
  assert.match(await endsWith(1, 'exit', 'throw'), /thrown by the program/)
})

boundaryTest('a rejection that nobody handles ends it as one', async () => {
  assert.match(await endsWith(1, 'exit', 'reject'), /rejected by the program/)
})

boundaryTest('SIGTERM without a handler ends it by that signal', async () => {
  const { code, signal } = await runProgram('exit', 'sigterm')
  assert.deepEqual({ code, signal }, { code: null, signal: 'SIGTERM' })
})

boundaryTest('it ends by itself when the last listener is closed', async () => {
  assert.equal(await endsWith(0, 'exit', 'last-listener'), 'by itself\n')
})

boundaryTest('it stays while there is a listener', async () => {
  assert.equal(await endsWith(0, 'exit', 'listening'), 'still here\n')
})

boundaryTest('it ends by itself when the engine has stopped', async () => {
  assert.equal(await endsWith(0, 'exit', 'stop'), 'stopped\n')
})

boundaryTest('a panic in an export is an exception', async () => {
  const { code, signal, stdout } = await runProgram('panic', 'export')
  assert.deepEqual({ code, signal }, { code: 0, signal: null })
  assert.match(stdout, /^exception: .*asked to panic.*\nalive\n$/)
})

boundaryTest('a panic in a worker is fatal, is told, and the process ends by itself', async () => {
  const { code, signal, stdout } = await runProgram('panic', 'worker')
  assert.deepEqual({ code, signal }, { code: 0, signal: null })
  assert.match(stdout, /^fatal: .*worker [01] of the native engine died.*\nstopped\n$/)
})

boundaryTest('a proxy whose engine dies stops and says so', async () => {
  const { code, signal, stdout } = await runProgram('panic', 'proxy')
  assert.deepEqual({ code, signal }, { code: 0, signal: null })
  assert.match(stdout, /^error: worker 1 of the native engine died/)
})

boundaryTest('handlers that throw, and a fault that throws, stop nobody else', async () => {
  const stdout = await endsWith(0, 'fault')
  assert.equal(stdout, 'asked 30, uncaught 10\n')
})
