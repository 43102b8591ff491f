import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { Config } from '#sluice/config/types.js'
import type { EngineKind } from '#sluice/engine/engine.js'
import type { SessionRecord } from '#sluice/flow/record/record.js'
import {
  consume,
  echo,
  type HandshakeRule,
  more,
  reject,
  reply,
  send,
  track,
  useBackend,
  type Verdict,
} from '#sluice/policy.js'
import { createProxy } from '#sluice/proxy/create.js'
import type { SluiceProxy } from '#sluice/proxy/proxy.js'
import { engineKinds } from '../support/engines.js'
import { memoryLogger } from '../support/harness.js'
import { closedPort, dial, nextText, startEcho, startServer, talk } from '../support/net.js'

interface Running {
  proxy: SluiceProxy
  port: number
  records: SessionRecord[]
  /** Resolves with record `n` (from 0), when it is there. */
  record(n: number): Promise<SessionRecord>
}

async function run(kind: EngineKind, config: Partial<Config>): Promise<Running> {
  const { logger } = memoryLogger()
  const proxy = createProxy(
    {
      global: { maxconn: 200 },
      frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
      backends: { app: { servers: { a: echo() } } },
      ...config,
    },
    { engine: kind, logger },
  )
  const records: SessionRecord[] = []
  proxy.on('session', (record) => records.push(record))
  await proxy.start()
  const port = proxy.addresses.web?.[0]?.port as number
  return {
    proxy,
    port,
    records,
    async record(n) {
      while (records.length <= n) await once(proxy, 'session')
      return records[n] as SessionRecord
    },
  }
}

/** Resolves when somebody waits in the queue. */
async function queued(proxy: SluiceProxy): Promise<void> {
  while (proxy.stats().backends.app?.queued === 0) {
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const address = (port: number) => `127.0.0.1:${port}`

for (const kind of engineKinds) {
  test(`${kind}: bytes go through, and the session is recorded`, async () => {
    const server = await startEcho()
    const { proxy, port, record } = await run(kind, {
      backends: { app: { servers: { a: address(server.port) } } },
    })
    assert.equal(proxy.engineKind, kind)
    assert.deepEqual(await talk(port, 'hello'), { text: 'hello', error: undefined })
    const { by, phase, code, ...rest } = await record(0)
    assert.equal(code, 'done')
    assert.equal(rest.server, 'a')
    assert.equal(rest.backend, 'app')
    assert.equal(rest.src, '127.0.0.1')
    assert.equal(rest.bind, address(port))
    assert.equal(rest.bytesIn, 5)
    assert.equal(rest.bytesOut, 5)
    assert.ok(rest.timers.connect >= 0 && rest.timers.total >= rest.timers.connect)
    assert.deepEqual(await proxy.stop(), { drained: true, closed: 0 })
    await server.close()
  })

  test(`${kind}: applets, large payload in both directions`, async () => {
    const { proxy, port } = await run(kind, {})
    const content = 'x'.repeat(1_000_000)
    const { text } = await talk(port, content)
    assert.equal(text.length, content.length)
    await proxy.stop()
  })

  test(`${kind}: reject closes, reset resets, reply replies`, async () => {
    let verdict: Verdict = reject()
    const { proxy, port, record } = await run(kind, {
      frontends: {
        web: { bind: '127.0.0.1:0', backend: 'app', rules: { connection: [() => verdict] } },
      },
    })
    assert.equal((await talk(port)).text, '')
    verdict = reject({ reset: true })
    assert.equal((await talk(port, '', { fin: false })).error, 'ECONNRESET')
    verdict = reply('busy\n')
    assert.equal((await talk(port)).text, 'busy\n')
    assert.equal((await record(0)).code, 'rejected')
    assert.equal((await record(1)).code, 'rejected')
    assert.equal((await record(2)).code, 'replied')
    await proxy.stop()
  })

  test(`${kind}: a rate limit by tracked counter`, async () => {
    const { proxy, port } = await run(kind, {
      tables: { perSource: { key: 'ip', size: 10, store: { connCur: true, connCnt: true } } },
      frontends: {
        web: {
          bind: '127.0.0.1:0',
          backend: 'app',
          rules: {
            connection: [
              track('sc0', (conn) => conn.src, 'perSource'),
              (conn) => (conn.sc0.connCnt > 2 ? reject() : undefined),
            ],
          },
        },
      },
    })
    const texts: string[] = []
    for (let i = 0; i < 4; i++) texts.push((await talk(port, 'x')).text)
    assert.deepEqual(texts, ['x', 'x', '', ''])
    await proxy.stop()
    assert.equal(proxy.tables.perSource?.get('127.0.0.1')?.connCur, 0)
  })

  test(`${kind}: a rule gives a connection its own time-outs and fields`, async () => {
    const server = await startEcho()
    const { proxy, port, record } = await run(kind, {
      frontends: {
        web: {
          bind: '127.0.0.1:0',
          backend: 'app',
          rules: {
            connection: [
              function short(conn) {
                conn.timeouts.tunnel = '50ms'
                conn.fields.servers = conn.backend('app').usable
              },
            ],
          },
        },
      },
      backends: { app: { servers: { a: address(server.port) } } },
    })
    const client = await dial(port)
    client.write('hello')
    assert.equal(await nextText(client), 'hello')
    const { by, code, fields } = await record(0)
    assert.deepEqual([by, code, fields], ['timeout', 'tunnel-timeout', { servers: 1 }])
    client.destroy()
    await proxy.stop()
    await server.close()
  })

  test(`${kind}: sessions wait for a slot`, async () => {
    const server = await startEcho()
    const { proxy, port, record } = await run(kind, {
      backends: { app: { servers: { a: { address: address(server.port), maxconn: 1 } } } },
    })
    const first = await dial(port)
    first.write('one')
    assert.equal(await nextText(first), 'one')
    const second = talk(port, 'two')
    await queued(proxy)
    first.end()
    assert.equal((await second).text, 'two')
    assert.equal((await record(1)).code, 'done')
    first.destroy()
    await proxy.stop()
    assert.equal(proxy.backends.app?.servers.a?.sessions, 0)
    await server.close()
  })

  test(`${kind}: retries, then another server`, async () => {
    const server = await startEcho()
    const closed = await closedPort()
    const { proxy, port, record } = await run(kind, {
      backends: {
        app: {
          balance: 'first',
          servers: { dead: address(closed), live: address(server.port) },
          retries: 2,
          redispatch: 2,
          retryDelay: '10ms',
        },
      },
    })
    assert.equal((await talk(port, 'hi')).text, 'hi')
    const { server: name, retries } = await record(0)
    assert.equal(name, 'live')
    assert.equal(retries, 2)
    await proxy.stop()
    await server.close()
  })

  test(`${kind}: every server refuses`, async () => {
    const closed = await closedPort()
    const { proxy, port, record } = await run(kind, {
      backends: { app: { servers: { dead: address(closed) }, retries: 1, retryDelay: '5ms' } },
    })
    assert.equal((await talk(port, 'hi')).text, '')
    const { by, phase, code, retries } = await record(0)
    assert.deepEqual(
      { by, phase, code, retries },
      { by: 'server', phase: 'connect', code: 'refused', retries: 1 },
    )
    await proxy.stop()
  })

  test(`${kind}: rules that send, one behind the other, and one that sends and is through`, async () => {
    const server = await startEcho()
    const login: HandshakeRule = {
      name: 'login',
      limit: 12,
      run({ bytes }) {
        const line = new TextDecoder().decode(bytes)
        if (line.startsWith('hello\n')) return [send('name?\n', { consume: 6 }), more()]
        return line.endsWith('\n') ? consume(bytes.length) : more()
      },
    }
    const password: HandshakeRule = {
      name: 'password',
      limit: 8,
      run({ bytes, last }) {
        if (bytes.length === 8) assert.equal(last, true)
        return bytes.length < 8 ? more() : send('welcome\n', { consume: 8 })
      },
    }
    const { proxy, port } = await run(kind, {
      frontends: {
        web: { bind: '127.0.0.1:0', backend: 'app', rules: { handshake: [login, password] } },
      },
      backends: { app: { servers: { a: address(server.port) } } },
    })
    for (const word of ['12345678', '1234567', '1']) {
      const socket = await dial(port)
      socket.write('hello\n')
      assert.equal(await nextText(socket), 'name?\n')
      socket.write('somebody\n')
      socket.write(word)
      if (word.length < 8) {
        await new Promise((resolve) => setTimeout(resolve, 20))
        socket.write('12345678'.slice(word.length))
      }
      // Nothing more comes of the client, and it is served.
      assert.equal(await nextText(socket), 'welcome\n')
      socket.write('echo')
      assert.equal(await nextText(socket), 'echo')
      socket.destroy()
    }
    await proxy.stop({ deadline: '0s' })
    await server.close()
  })

  test(`${kind}: a custom handshake chooses the backend by the first bytes`, async () => {
    const { proxy, port } = await run(kind, {
      frontends: {
        web: {
          bind: '127.0.0.1:0',
          backend: 'app',
          rules: {
            handshake: [
              function preamble({ bytes }) {
                if (bytes.length < 4) return more()
                return [consume(4), useBackend(bytes[0] === 0x42 ? 'b' : 'app')]
              },
            ],
          },
        },
      },
      backends: {
        app: { servers: { a: echo() } },
        b: {
          servers: {
            b: { applet: { kind: 'applet', name: 'b', serve: (s) => s.write('backend b') } },
          },
        },
      },
    })
    assert.equal((await talk(port, 'AAAApayload')).text, 'payload')
    assert.equal((await talk(port, 'BBBBpayload')).text, 'backend b')
    await proxy.stop()
  })

  test(`${kind}: handshake rules with asynchronous answers`, async () => {
    const { proxy, port } = await run(kind, {
      frontends: {
        web: {
          bind: '127.0.0.1:0',
          backend: 'app',
          rules: {
            handshake: [
              async (conn) => {
                await new Promise((resolve) => setImmediate(resolve))
                return conn.bytes[0] === 0x21 ? reject() : undefined
              },
            ],
          },
        },
      },
    })
    assert.equal((await talk(port, 'fine')).text, 'fine')
    assert.equal((await talk(port, '!bad')).text, '')
    await proxy.stop()
  })

  test(`${kind}: draining finishes what is under way and loses nothing`, async () => {
    const server = await startEcho()
    const { proxy, port } = await run(kind, {
      backends: { app: { servers: { a: address(server.port) } } },
    })
    const client = await dial(port)
    client.write('before')
    assert.equal(await nextText(client), 'before')
    const stopping = proxy.stop({ deadline: '20s' })
    client.write('after')
    assert.equal(await nextText(client), 'after')
    client.end()
    assert.deepEqual(await stopping, { drained: true, closed: 0 })
    await assert.rejects(dial(port), { code: 'ECONNREFUSED' })
    client.destroy()
    await server.close()
  })

  test(`${kind}: the drain deadline closes the rest as shutdown`, async () => {
    const server = await startServer(() => {})
    const { proxy, port, record } = await run(kind, {
      backends: { app: { servers: { a: address(server.port) } } },
    })
    const client = await dial(port)
    client.write('x')
    await once(server.server, 'connection')
    const closed = new Promise<void>((resolve) => client.on('close', () => resolve()))
    client.on('end', () => client.end())
    client.resume()
    const stopping = proxy.stop({ deadline: '50ms' })
    assert.equal((await stopping).drained, false)
    const { by, code } = await record(0)
    assert.deepEqual({ by, code }, { by: 'proxy', code: 'shutdown' })
    await closed
    await server.close()
  })

  test(`${kind}: a port in use is a clear error, and nothing listens`, async () => {
    const { proxy, port } = await run(kind, {})
    const second = createProxy(
      {
        frontends: { web: { bind: ['127.0.0.1:0', address(port)], backend: 'app' } },
        backends: { app: { servers: { a: echo() } } },
      },
      { engine: kind, logger: memoryLogger().logger },
    )
    await assert.rejects(second.start(), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'ERR_SLUICE_LISTEN')
      assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${port}`))
      return true
    })
    const other = second.addresses.web?.[0]?.port
    assert.ok(other)
    await assert.rejects(dial(other), { code: 'ECONNREFUSED' })
    await proxy.stop()
  })

  test(`${kind}: a policy that blocks past its deadline, where the default is to open`, async () => {
    const server = await startEcho()
    const { proxy, port, record } = await run(kind, {
      global: { verdictTimeout: '50ms' },
      frontends: {
        web: {
          bind: '127.0.0.1:0',
          backend: 'app',
          onError: 'open',
          rules: {
            connection: [
              function asleep() {
                Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700)
              },
            ],
          },
        },
      },
      backends: { app: { servers: { a: address(server.port) } } },
    })
    // Whether the engine opened it (native) or the late answer did (js, which was blocked itself).
    assert.equal((await talk(port, 'hello')).text, 'hello')
    const { code, opened } = await record(0)
    assert.equal(code, 'done')
    assert.equal(opened === true, kind === 'native')
    await proxy.stop()
    assert.equal(proxy.backends.app?.servers.a?.sessions, 0)
    await server.close()
  })
}
