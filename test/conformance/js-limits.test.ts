/** What the js engine cannot do it refuses, with the way out in the message (docs/engines.md). */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RouteSpec } from '#sluice/engine/engine.js'
import { createJsEngine } from '#sluice/engine/js/engine.js'
import { defaultListen, Harness } from '../support/engine-harness.js'

for (const option of ['transparent', 'originalDst'] as const) {
  test(`a listener with ${option} is refused`, async () => {
    const h = await Harness.start('js')
    const listening = h.engine.listen({ ...defaultListen(), [option]: true })
    await assert.rejects(listening, { code: 'ERR_SLUICE_LISTEN', message: /native engine/ })
    await h.stop()
  })
}

test('a route from the client address is refused', async () => {
  const h = await Harness.start('js')
  const source: RouteSpec['source'] = 'client'
  assert.throws(() => h.route(1, { source }), { code: 'ERR_SLUICE_ENGINE', message: /native/ })
  await h.stop()
})

test('slots must be a positive integer', () => {
  for (const slots of [0, -1, 1.5, Number.NaN]) {
    assert.throws(() => createJsEngine({ slots }), { code: 'ERR_SLUICE_ARGUMENT' })
  }
})

test('an engine that does not run refuses to listen, and to start twice', async () => {
  const engine = createJsEngine({ slots: 4 })
  await assert.rejects(engine.listen(defaultListen()), { code: 'ERR_SLUICE_STATE' })
  const h = await Harness.start('js')
  assert.throws(() => h.engine.start({} as never), { code: 'ERR_SLUICE_STATE' })
  await h.stop()
  await assert.rejects(h.engine.listen(defaultListen()), { code: 'ERR_SLUICE_STATE' })
})
