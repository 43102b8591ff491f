import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Applet,
  type AppletStream,
  chargen,
  defineApplet,
  discard,
  echo,
  staticReply,
} from '#sluice/policy.js'
import { settle } from '#sluice/testing/clock.js'
import { harness } from '../../support/harness.js'

const withApplet = (applet: Applet) => harness({ backends: { app: { servers: { a: applet } } } })

async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await settle()
}

test('echo sends everything back and ends after the client', async () => {
  const { engine, sessions, proxy } = await withApplet(echo())
  const client = engine.accept()
  client.send('hello ')
  await turns()
  client.send('world')
  client.fin()
  await turns()
  assert.equal(client.text, 'hello world')
  assert.deepEqual(client.end, { by: 'client', phase: 'data', code: 'done' })
  assert.equal(sessions()[0]?.server, 'a')
  assert.equal(proxy.backends.app?.servers.a?.sessions, 0)
})

test('a static reply ends first and still waits for the client', async () => {
  const { engine } = await withApplet(staticReply('hi\n'))
  const client = engine.accept()
  client.send('ignored')
  await turns()
  assert.equal(client.text, 'hi\n')
  assert.equal(client.finReceived, true)
  assert.equal(client.ended, false)
  client.send('more that nobody reads')
  client.fin()
  await turns()
  assert.equal(client.end?.code, 'done')
})

test('discard reads everything', async () => {
  const { engine } = await withApplet(discard())
  const client = engine.accept()
  for (let i = 0; i < 10; i++) {
    client.send(new Uint8Array(50_000))
    await turns()
  }
  assert.equal(client.input.length, 0)
  client.fin()
  await turns()
  assert.equal(client.end?.code, 'done')
})

test('an applet that does not read holds the client back at the window', async () => {
  let stream: AppletStream | undefined
  const { engine } = await withApplet(
    defineApplet('lazy', (s) => {
      stream = s
      return new Promise(() => {})
    }),
  )
  const client = engine.accept()
  client.send(new Uint8Array(100_000))
  await turns()
  assert.equal(client.input.length, 100_000 - 65_536)
  assert.equal((await stream?.read())?.length, 65_536)
  assert.equal(client.input.length, 0)
  assert.equal((await stream?.read())?.length, 100_000 - 65_536)
})

test('a client that does not read holds the applet back at the window', async () => {
  let written = 0
  const { engine } = await withApplet(
    defineApplet('eager', async (stream) => {
      for (let i = 0; i < 10; i++) {
        await stream.write(new Uint8Array(30_000))
        written++
      }
    }),
  )
  const client = engine.accept()
  client.stalled = true
  // The window is 64 kB: a second of these fits, a third does not.
  await turns()
  const before = written
  assert.ok(before < 10)
  client.stalled = false
  client.resume()
  await turns(20)
  assert.equal(written, 10)
  assert.equal(client.received.length, 300_000)
  assert.equal(client.finReceived, true)
})

test('chargen stops when the client goes', async () => {
  const { engine, lines } = await withApplet(chargen())
  const client = engine.accept()
  client.stalled = true
  await turns()
  client.reset()
  await turns()
  assert.ok(client.received.length > 0)
  assert.match(client.text.slice(0, 74), /^ !"#.*\r\n$/)
  assert.ok(!lines.some(({ level }) => level >= 50))
})

test('an applet that throws ends its connection as applet-error, with its name in the log', async () => {
  for (const serve of [
    () => {
      throw new Error('boom')
    },
    async () => {
      throw new Error('boom')
    },
  ]) {
    const { engine, lines, sessions } = await withApplet(defineApplet('broken', serve))
    const client = engine.accept()
    await turns()
    assert.deepEqual(client.end, { by: 'policy', phase: 'data', code: 'applet-error' })
    assert.equal(sessions()[0]?.level, 40)
    assert.ok(lines.some(({ applet, level }) => applet === 'broken' && level === 50))
  }
})

test('reset, write after end, and a connection that is gone', async () => {
  const outcomes: string[] = []
  let stream: AppletStream | undefined
  const { engine } = await withApplet(
    defineApplet('odd', async (s) => {
      stream = s
      await s.end()
      await s.write('x').catch((error: Error) => outcomes.push(error.message))
      s.reset()
      await s.read().catch((error: Error) => outcomes.push(error.message))
      await s.write('x').catch((error: Error) => outcomes.push(error.message))
      outcomes.push(String(s.signal.aborted))
    }),
  )
  const client = engine.accept()
  await turns()
  assert.equal(client.resetReceived, true)
  assert.equal(client.end?.code, 'killed')
  assert.deepEqual(outcomes, [
    'write after end',
    'the connection is gone',
    'the connection is gone',
    'true',
  ])
  assert.ok(stream)
})

test('applets take part in the queue like servers', async () => {
  const { engine } = await harness({
    backends: { app: { servers: { a: { applet: staticReply('one\n'), maxconn: 1 } } } },
  })
  const first = engine.accept()
  const second = engine.accept()
  await turns()
  assert.equal(first.text, 'one\n')
  assert.equal(second.text, '')
  first.fin()
  await turns()
  assert.equal(second.text, 'one\n')
})

test('promises that an applet does not look at do not end the process', async () => {
  const { engine } = await withApplet(
    defineApplet('careless', (stream) => {
      void stream.read()
      void stream.write(new Uint8Array(200_000))
      return new Promise(() => {})
    }),
  )
  const client = engine.accept()
  client.stalled = true
  await turns()
  // An unhandled rejection would fail this test.
  client.reset()
  await turns()
  assert.equal(client.ended, true)
})

test('what comes byte by byte while nobody reads is one chunk', async () => {
  let stream: AppletStream | undefined
  const { engine } = await withApplet(
    defineApplet('lazy', (s) => {
      stream = s
      return new Promise(() => {})
    }),
  )
  const client = engine.accept()
  const sent = 'abcdefghij'.repeat(100)
  for (const byte of sent) client.send(byte)
  await turns()
  assert.equal(new TextDecoder().decode(await stream?.read()), sent)
  // The chunk is the applet's own: what comes later is elsewhere.
  client.send('x')
  client.send('y')
  await turns()
  assert.equal(new TextDecoder().decode(await stream?.read()), 'xy')
})

test('reads and writes that wait are answered in order, and all of them at the end', async () => {
  let stream: AppletStream | undefined
  const { engine } = await withApplet(
    defineApplet('many', (s) => {
      stream = s
      return new Promise(() => {})
    }),
  )
  const client = engine.accept()
  const s = stream as AppletStream
  const loop = s[Symbol.asyncIterator]()
  const reads = [s.read(), loop.next(), s.read()]
  for (const byte of 'abc') client.send(byte)
  const text = (chunk: unknown) => new TextDecoder().decode(chunk as Uint8Array)
  assert.equal(text(await reads[0]), 'a')
  const second = (await reads[1]) as IteratorResult<Uint8Array>
  assert.deepEqual([second.done, text(second.value)], [false, 'b'])
  assert.equal(text(await reads[2]), 'c')
  await loop.return?.()
  client.send('d')
  assert.equal(text(await s.read()), 'd')
  client.stalled = true
  const writes = [1, 2, 3].map(() => s.write(new Uint8Array(60_000)))
  const waiting = [s.read(), loop.next()]
  client.reset()
  const ends = await Promise.allSettled([...waiting, ...writes])
  assert.ok(ends.slice(0, 2).every(({ status }) => status === 'rejected'))
  assert.equal(ends.at(-1)?.status, 'rejected')
  for (const call of [() => s.read(), () => loop.next(), () => s.write('x'), () => s.end()]) {
    await assert.rejects(Promise.resolve(call()), { code: 'ERR_SLUICE_APPLET' })
  }
})

test('a loop that is left goes on later, and ends at the FIN', async () => {
  const seen: string[] = []
  const { engine } = await withApplet(
    defineApplet('twice', async (stream) => {
      for await (const chunk of stream) {
        seen.push(`first ${new TextDecoder().decode(chunk)}`)
        break
      }
      for await (const chunk of stream) seen.push(`second ${new TextDecoder().decode(chunk)}`)
    }),
  )
  const client = engine.accept()
  client.send('a')
  await turns()
  client.send('b')
  await turns()
  client.fin()
  await turns()
  assert.deepEqual(seen, ['first a', 'second b'])
  assert.equal(client.end?.code, 'done')
})
