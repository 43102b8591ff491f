/** Commands: more than the ring holds, more bytes than the slab holds, and stale handles. */

import assert from 'node:assert/strict'
import { CommandRing } from '#sluice/engine/native/command-ring.js'
import { createNativeEngine } from '#sluice/engine/native/engine.js'
import { BytesFlag, Command, Control, Layout, Region } from '#sluice/wire/wire.js'
import { Harness, reasonWord } from '../support/engine-harness.js'
import { boundaryTest } from './support.js'

boundaryTest('more commands in one turn than the ring holds: all arrive', async () => {
  const h = await Harness.start('native')
  const count = 3 * Layout.COMMAND_CAPACITY + 7
  for (let i = 0; i < count; i++) h.engine.close(i % 100, 12345, 1, 0, 0)
  await h.until(() => h.engine.stats().staleHandles === count, 'every command is executed')
  await h.stop()
})

boundaryTest('more bytes in one turn than the slab holds: all arrive, in order', async () => {
  const h = await Harness.start('native')
  const total = 3 * Layout.COMMAND_SLAB_BYTES
  const payload = Buffer.alloc(total)
  for (let i = 0; i + 4 <= total; i += 4) payload.writeUInt32LE(i, i)
  h.answers.handshake = ({ conn, generation }) => {
    h.engine.applet(conn, generation, Layout.MAX_CHUNK, 0)
    h.engine.send(conn, generation, payload.subarray(0, total / 2), false)
    // Odd sizes, so that a piece meets the end of the slab.
    for (let at = total / 2; at < total; ) {
      const end = Math.min(total, at + 60_001)
      h.engine.send(conn, generation, payload.subarray(at, end), end === total)
      at = end
    }
  }
  h.answers.data = ({ conn, generation, flags }) => {
    if (flags & BytesFlag.EOF) h.engine.send(conn, generation, new Uint8Array(0), true)
  }
  const { port } = await h.listenPort()
  const client = await h.dial({ port })
  const got = await client.readToEnd()
  client.fin()
  assert.ok(got.equals(payload), 'the bytes differ')
  await h.next('closed')
  const sent = h.all('sent').reduce((sum, { count }) => sum + (count ?? 0), 0)
  assert.equal(sent, total)
  await h.settle()
  await h.stop()
})

boundaryTest('each command with a stale handle is counted and touches nobody', async () => {
  const h = await Harness.start('native')
  const { client, server, conn, generation } = await h.pair()
  const { engine } = h
  const stale: [number, number][] = [
    [conn, generation + 1],
    [conn, 0],
    [conn + 100, generation],
    [1023, 1],
  ]
  const bytes = Buffer.from('nobody gets this')
  for (const [slot, gen] of stale) {
    engine.proceed(slot, gen, -1, 0, 0)
    engine.inspect(slot, gen, 100, 0, 0)
    engine.connect(slot, gen, h.defaultRoute, 0, 0)
    engine.connect(slot, gen, h.defaultRoute, 0, 0, bytes)
    engine.applet(slot, gen, 100, 0)
    engine.credit(slot, gen, 100)
    engine.send(slot, gen, bytes, true)
    engine.reply(slot, gen, bytes, reasonWord(4, 17, 33))
    engine.close(slot, gen, reasonWord(4, 17, 42), 1, 0)
  }
  const count = stale.length * 9
  await h.until(() => engine.stats().staleHandles === count, 'each is counted')
  await client.send('unharmed')
  await server.expect('unharmed')
  client.fin()
  server.fin()
  await h.next('closed')
  // The slot is used again, by somebody else: the old handle stays stale.
  const again = await h.dial({ port: (await h.listenPort()).port })
  const second = await h.next('connected', (told) => told.generation > generation)
  assert.equal(second.conn, conn)
  engine.close(conn, generation, reasonWord(4, 17, 42), 1, 0)
  await h.until(() => engine.stats().staleHandles === count + 1, 'it is counted')
  assert.equal(again.ended, undefined)
  await h.settle()
  await h.stop()
})

boundaryTest(
  'bytes of commands are forgotten as the worker takes them, small and empty ones',
  async () => {
    const words = new Int32Array(new SharedArrayBuffer(Region.WORKER_WORDS * 4))
    const ring = new CommandRing(words)
    const take = () => {
      Atomics.store(words, Control.COMMAND_TAIL, Atomics.load(words, Control.COMMAND_HEAD))
    }
    const send = (bytes: Uint8Array) => {
      ring.writeBytes([Command.SEND, 0, 1, 0, 0, 0, 0, 0], 3, bytes)
      ring.flush()
    }
    const small = Buffer.from('x')
    for (let i = 0; i < 10_000; i++) {
      send(i % 2 ? small : small.subarray(0, 0))
      if (i % 10 === 9) take()
      assert.ok(ring.pieces <= 11, `${ring.pieces} pieces after ${i} commands`)
    }
    // The position of a piece may not grow old: numbers alone move it on as well.
    send(small)
    take()
    ring.write(Command.CREDIT, 0, 1, 1, 0, 0, 0)
    ring.flush()
    assert.equal(ring.pieces, 0)
    // And nothing is forgotten that the worker has not taken.
    send(Buffer.alloc(Layout.COMMAND_SLAB_BYTES / 2))
    send(Buffer.alloc(Layout.COMMAND_SLAB_BYTES / 2))
    assert.equal(ring.pieces, 2)
    const head = Atomics.load(words, Control.COMMAND_HEAD)
    send(small)
    assert.equal(Atomics.load(words, Control.COMMAND_HEAD), head, 'it waits for room')
    take()
    ring.flush()
    assert.equal(ring.pieces, 1)
  },
)

boundaryTest(
  'a table that the system has no address space for is an error of the configuration',
  async () => {
    assert.throws(() => createNativeEngine({ workers: 2, slots: 2 ** 40 }), {
      code: 'ERR_SLUICE_CONFIG',
      message: /global\.maxconn: 549755813888 connections in each of 2 workers take \d+ MiB/,
    })
  },
)
