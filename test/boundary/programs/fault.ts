/** Handlers that throw, and a `fault` that throws itself: the other events are told. */

import { connect } from 'node:net'
import type { EngineEvents } from '#sluice/engine/engine.js'
import { createNativeEngine } from '#sluice/engine/native/engine.js'
import { CloseMode } from '#sluice/wire/wire.js'
import { defaultListen, reasonWord } from '../../support/engine-harness.js'
import { blockFor } from '../support.js'

const engine = createNativeEngine({ workers: 1, slots: 256 })
let asked = 0
let closed = 0
let uncaught = 0
process.on('uncaughtException', () => uncaught++)

const rest = new Proxy({} as EngineEvents, { get: () => () => {} })
engine.start({
  ...rest,
  handshake({ conn, generation }) {
    engine.close(conn, generation, reasonWord(4, 8, 31), CloseMode.CLOSE, 0)
    if (asked++ % 3 === 0) throw new Error('thrown by a handler')
  },
  closed() {
    if (++closed < 30) return
    console.log(`asked ${asked}, uncaught ${uncaught}`)
    void engine.stop()
  },
  fault() {
    throw new Error('thrown by fault')
  },
})
const { address } = await engine.listen(defaultListen())
for (let i = 0; i < 30; i++)
  connect({ port: address.port, host: '127.0.0.1' }).on('error', () => {})
// All in one batch.
setImmediate(() => blockFor(100))
