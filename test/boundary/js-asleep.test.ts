/** The js engine shares its thread: a loop that did not run for a while blames nobody for it. */

import assert from 'node:assert/strict'
import { engineTest } from '../support/engine-harness.js'

engineTest(
  'what came while the loop was asleep is looked at before time-outs strike',
  async (h) => {
    const { client, server } = await h.pair({ clientTimeout: 200 }, { serverTimeout: 200 })
    await client.send('ask')
    await server.expect('ask')
    // Sent in time, and looked at when both time-outs have long passed.
    client.socket.write('more')
    server.socket.write('answer')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
    await server.expect('more')
    await client.expect('answer')
    // And then they do.
    await client.ending()
    assert.match(
      (await h.next('closed')).reason as string,
      /^timeout data (client|server)-timeout$/,
    )
  },
  { kinds: ['js'] },
)
