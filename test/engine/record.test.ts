/** Records of commands and events without a ring: any transport may carry them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EngineEvents } from '#sluice/engine/engine.js'
import { CommandEncoder } from '#sluice/engine/record/commands.js'
import { EventDecoder } from '#sluice/engine/record/events.js'
import {
  Command,
  Event,
  Handshake,
  HelloStatus,
  Layout,
  SendFlag,
  Timeout,
  TlsFlag,
} from '#sluice/wire/wire.js'

const FIRST = 100
const bytes = Uint8Array.of(7, 8, 9)

/** The commands that an encoder wrote: words, and their bytes where there are any. */
function encoder(epochs = new Uint8Array(200)) {
  const written: (number | string)[][] = []
  const sink = {
    write: (...words: number[]) => written.push(words),
    writeBytes: (words: readonly number[], at: number, bytes: Uint8Array) =>
      written.push([...words, `${at}: ${bytes}`]),
  }
  return { encoder: new CommandEncoder(sink, FIRST, epochs), written }
}

test('each command is one record, with the slot of its worker and the epoch of its connection', () => {
  const { encoder: to, written } = encoder()
  to.proceed(103, 5, 1, 2, 3, 4, 6)
  to.inspect(103, 5, 10, 20, 30)
  to.connect(103, 5, 1, 2, 3)
  to.connect(103, 5, 1, 2, 3, new Uint8Array(0))
  to.connect(103, 5, 1, 2, 3, bytes)
  to.applet(103, 5, 10, 20)
  to.credit(103, 5, 10)
  to.send(103, 5, bytes, true)
  to.reply(103, 5, bytes, 77)
  to.close(103, 5, 77, 1, 2)
  to.close(104, 5, 77, 1, 2)
  to.setTimeout(104, 5, Timeout.CONNECT, -1)
  to.replace(104, 5, bytes, 4)
  assert.deepEqual(written, [
    [Command.PROCEED, 3, 5, 1, 2, 3, 4, 6],
    [Command.INSPECT, 3, 5, 10, 20, 30, 2],
    [Command.CONNECT, 3, 5, 1, 2, 3, 3],
    [Command.CONNECT, 3, 5, 1, 2, 3, 4],
    [Command.CONNECT, 3, 5, 1, 2, 3, 0, 0, '6: 7,8,9'],
    [Command.APPLET, 3, 5, 10, 0, 20, 6],
    [Command.CREDIT, 3, 5, 10, 0, 0, 7],
    [Command.SEND, 3, 5, 0, 0, SendFlag.FIN, 0, 0, '3: 7,8,9'],
    [Command.REPLY, 3, 5, 0, 0, 77, 0, 0, '3: 7,8,9'],
    [Command.CLOSE, 3, 5, 77, 1, 2, 9],
    [Command.CLOSE, 4, 5, 77, 1, 2, 1],
    [Command.SET_TIMEOUT, 4, 5, Timeout.CONNECT, -1, 0, 0],
    [Command.REPLACE, 4, 5, 0, 0, 4, 0, 0, '3: 7,8,9'],
  ])
  const kinds = new Set(written.map(([kind]) => kind))
  assert.deepEqual(kinds, new Set(Object.values(Command)))
})

test('bytes are sent in chunks, an end without bytes as one, and only the last has the FIN', () => {
  const { encoder: to, written } = encoder()
  to.send(FIRST, 1, new Uint8Array(2 * Layout.MAX_CHUNK + 1), true)
  to.send(FIRST, 1, new Uint8Array(0), true)
  assert.deepEqual(
    written.map((words) => words[5]),
    [0, 0, SendFlag.FIN, SendFlag.FIN],
  )
})

/** What is told of records, as names and the fields that matter. */
function decoder(slab: Uint8Array, epochs = new Uint8Array(200)) {
  const told: unknown[][] = []
  const events = new Proxy({} as EngineEvents, {
    get: (_, name: string) => (event: object) => told.push([name, { ...event }]),
  })
  const internal = { listenerClosed: (listener: number) => told.push(['closed', { listener }]) }
  const from = new EventDecoder(slab, FIRST, epochs)
  return {
    told,
    tell: (...words: number[]) => from.tell(Int32Array.from(words), 0, events, internal),
  }
}

test('each record is one event with its fields by name', () => {
  const slab = Uint8Array.of(0, 1, 2, 3, 2, 104, 50, 5, 6)
  const { told, tell } = decoder(slab)
  const cases: [number[], string, object][] = [
    [
      [Event.HANDSHAKE, 3, 5, 2, Handshake.TLS, 1, 3, HelloStatus.COMPLETE],
      'handshake',
      { listener: 2, bit: Handshake.TLS, bytes: slab.slice(1, 4), hello: HelloStatus.COMPLETE },
    ],
    [[Event.HANDSHAKE_WAITS, 3, 5, 0, 0, 0, 0, 0], 'handshakeWaits', {}],
    [
      [Event.SECURED, 3, 5, Handshake.TLS_OUT, 0x03041301, TlsFlag.RESUMED, 4, 5],
      'secured',
      {
        bit: Handshake.TLS_OUT,
        version: 0x0304,
        cipher: 0x1301,
        flags: TlsFlag.RESUMED,
        alpn: 'h2',
        bytes: Uint8Array.of(5, 6),
      },
    ],
    [
      [Event.CLOSED, 3, 5, 77, 104, 999, -1, 0],
      'closed',
      { reason: 77, errno: 104, clock: 999, connectTime: -1 },
    ],
    [[Event.BYTES, 3, 5, 0, 2, 1, 0, 0], 'bytes', { bytes: slab.slice(0, 2), flags: 1 }],
    [[Event.DATA, 3, 5, 2, 2, 1, 0, 0], 'data', { bytes: slab.slice(2, 4), flags: 1 }],
    [[Event.SENT, 3, 5, 12, 0, 0, 0, 0], 'sent', { sent: 12 }],
    [[Event.CONNECTED, 3, 5, 4, 12, 0, 0, 0], 'connected', { peer: 104, elapsed: 12 }],
    [
      [Event.CONNECT_FAILED, 3, 5, 77, 111, 12, 0, 0],
      'connectFailed',
      { reason: 77, errno: 111, elapsed: 12 },
    ],
    [[Event.VERDICT_TIMEOUT, 3, 5, 8, 1, 0, 0, 0], 'verdictTimeout', { bit: 8, opened: true }],
    [[Event.VERDICT_TIMEOUT, 3, 5, 8, 0, 0, 0, 0], 'verdictTimeout', { bit: 8, opened: false }],
  ]
  for (const [words, name, fields] of cases) {
    tell(...words)
    const [heard, event] = told.at(-1) as [string, object]
    assert.equal(heard, name)
    assert.deepEqual(event, { ...event, conn: 103, generation: 5, ...fields })
  }
  tell(Event.LISTENER_PAUSED, 2, 0, 24, 0, 0, 0, 0)
  assert.deepEqual(told.at(-1), [
    'listenerPaused',
    { ...(told.at(-1)?.[1] as object), listener: 2, errno: 24 },
  ])
  tell(Event.LISTENER_CLOSED, 2, 0, 0, 0, 0, 0, 0)
  assert.deepEqual(told.at(-1), ['closed', { listener: 2 }])
  const kinds = new Set([
    ...cases.map(([[kind]]) => kind),
    Event.LISTENER_PAUSED,
    Event.LISTENER_CLOSED,
  ])
  assert.deepEqual(kinds, new Set(Object.values(Event)))
  assert.equal(told.length, cases.length + 2)
})

test('what was shown before the last command is dropped; bytes are no view of the slab', () => {
  const epochs = new Uint8Array(200)
  const slab = Uint8Array.of(1, 2, 3)
  const { encoder: to } = encoder(epochs)
  const { told, tell } = decoder(slab, epochs)
  to.inspect(103, 5, 10, 0, 0)
  to.setTimeout(103, 5, Timeout.CLIENT, 1)
  to.send(103, 5, slab, false)
  tell(Event.BYTES, 3, 5, 0, 3, 0, 0, 0)
  assert.equal(told.length, 0)
  tell(Event.BYTES, 3, 5, 0, 3, 0, 1, 0)
  slab.fill(0)
  const [[, event] = []] = told
  assert.deepEqual((event as { bytes: Uint8Array }).bytes, Uint8Array.of(1, 2, 3))
})
