import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SluiceError } from '#sluice/base/errors.js'
import { selectEngine } from '#sluice/engine/select.js'
import { VirtualClock } from '#sluice/testing/clock.js'
import { TestEngine } from '#sluice/testing/engine/engine.js'
import { memoryLogger } from '../support/harness.js'

const options = { workers: 1, slots: 16 }

test('auto falls back to js with one loud warning that says why and how to fix it', async () => {
  const { logger, lines } = memoryLogger()
  const engine = await selectEngine('auto', options, logger, () =>
    Promise.reject(new SluiceError('ERR_SLUICE_ENGINE', 'it has not been built')),
  )
  assert.equal(engine.kind, 'js')
  assert.equal(lines.length, 1)
  assert.equal(lines[0]?.level, 40)
  assert.match(String(lines[0]?.msg), /SLOW ENGINE.*it has not been built.*global\.engine/s)
})

test('auto takes native where it loads, without a word', async () => {
  const { logger, lines } = memoryLogger()
  const native = new TestEngine(new VirtualClock())
  assert.equal(await selectEngine('auto', options, logger, () => Promise.resolve(native)), native)
  assert.deepEqual(lines, [])
})

test('native that does not load, and an addon of another contract, are errors', async () => {
  const { logger } = memoryLogger()
  const failing = (code: 'ERR_SLUICE_ENGINE' | 'ERR_SLUICE_ABI_MISMATCH') => () =>
    Promise.reject(new SluiceError(code, 'x'))
  await assert.rejects(selectEngine('native', options, logger, failing('ERR_SLUICE_ENGINE')), {
    code: 'ERR_SLUICE_ENGINE',
  })
  await assert.rejects(selectEngine('auto', options, logger, failing('ERR_SLUICE_ABI_MISMATCH')), {
    code: 'ERR_SLUICE_ABI_MISMATCH',
  })
})
