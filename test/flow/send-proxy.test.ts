/** What a PROXY v2 header to a server has of the client's TLS and of the header that came in. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTlvs } from '#sluice/codec/proxy/tlv.js'
import { createTestProxy } from '#sluice/testing/index.js'
import { engineOf } from '#sluice/testing/proxy.js'

type SendProxy = {
  version: 2
  uniqueId?: boolean
  crc32c?: boolean
  ssl?: boolean | 'cn'
  authority?: boolean
  tlvs?: boolean | number[]
}

async function start(sendProxy: SendProxy) {
  const proxy = await createTestProxy({
    frontends: {
      chain: { bind: { address: ':8080', acceptProxy: true }, backend: 'app' },
      tls: {
        bind: { address: ':8443', acceptProxy: true, tls: { cert: 'site.pem' } },
        backend: 'app',
      },
      passes: { bind: { address: ':8444', sniRoutes: { '*': 'app' } } },
    },
    backends: { app: { servers: { a: { address: '127.0.0.1:9001', sendProxy } } } },
  })
  const tlvs = () => {
    const call = engineOf(proxy).calls.findLast(({ name }) => name === 'connect')
    return (call?.args[3] ?? new Uint8Array(0)) as Uint8Array
  }
  const texts = () =>
    [...parseTlvs(tlvs())].map(([type, value]) => `${type}=${Buffer.from(value).toString()}`)
  return { proxy, tlvs, texts }
}

const header = {
  src: '198.51.100.7',
  tlvs: { 1: 'h2', 2: 'front.example', 4: '', 5: 'id-1', 234: 'vpce-1' },
}

test('TLVs of the header that came in are handed on, all or some, and only where asked', async () => {
  const cases: [SendProxy, string[]][] = [
    [{ version: 2 }, []],
    [{ version: 2, tlvs: false }, []],
    [{ version: 2, tlvs: true }, ['1=h2', '2=front.example', '5=id-1', '234=vpce-1']],
    [{ version: 2, tlvs: [0xea, 0x77] }, ['234=vpce-1']],
    [{ version: 2, tlvs: [] }, []],
  ]
  for (const [options, expected] of cases) {
    const { proxy, texts } = await start(options)
    await proxy.connect({ proxy: { ...header, crc32c: true } })
    assert.deepEqual(texts(), expected)
    await proxy.connect({ proxy: { version: 1, src: '198.51.100.7' } })
    assert.deepEqual(texts(), [])
    await proxy[Symbol.asyncDispose]()
  }
})

test('padding and the checksum belong to one header: asking for them is refused', async () => {
  await assert.rejects(async () => start({ version: 2, tlvs: [4, 3] }), {
    name: 'ConfigError',
    message: /tlvs\[0\]: 4 is padding[\s\S]*tlvs\[1\]: 3 is the checksum/,
  })
})

test('several of one type stay several, in their order', async () => {
  const { proxy, tlvs } = await start({ version: 2, tlvs: true, crc32c: true })
  const twice = Uint8Array.of(0xe0, 0, 1, 1, 0xe1, 0, 0, 0xe0, 0, 1, 2)
  // As the engine tells them.
  const engine = engineOf(proxy)
  const { handshake } = engine.events
  engine.events.handshake = (event) => handshake.call(engine.events, { ...event, bytes: twice })
  await proxy.connect({ proxy: { src: '198.51.100.7' } })
  assert.deepEqual([...tlvs()], [...twice])
  await proxy[Symbol.asyncDispose]()
})

test('what is known here takes the place of what came in', async () => {
  const { proxy, texts } = await start({ version: 2, tlvs: true, uniqueId: true, authority: true })
  const plain = await proxy.connect({ proxy: header })
  // Nothing is known of a name: the one in front stays.
  assert.deepEqual(texts(), ['1=h2', '2=front.example', '234=vpce-1', `5=${plain.id}`])
  const secure = await proxy.connect({
    frontend: 'tls',
    proxy: header,
    tls: { serverName: 'a.example' },
  })
  assert.deepEqual(texts(), ['1=h2', '234=vpce-1', '2=a.example', `5=${secure.id}`])
  await proxy[Symbol.asyncDispose]()
})

test('TLS that ended in front is told as it came, and TLS that ends here as it is here', async () => {
  const { proxy, tlvs } = await start({ version: 2, tlvs: true, ssl: true })
  const inFront = Uint8Array.of(1, 0, 0, 0, 0)
  const tlvsIn = { 32: inFront }
  await proxy.connect({ proxy: { src: '198.51.100.7', tlvs: tlvsIn } })
  assert.deepEqual([...tlvs()], [0x20, 0, 5, ...inFront])
  await proxy.connect({
    frontend: 'tls',
    proxy: { src: '198.51.100.7', tlvs: tlvsIn },
    tls: { serverName: 'a.example' },
  })
  const told = Buffer.from(parseTlvs(tlvs()).get(0x20) ?? [])
  assert.ok(told.toString('latin1').includes('TLSv1.3'))
  // Nobody knows of TLS: that is told.
  await proxy.connect({ proxy: { src: '198.51.100.7' } })
  assert.equal(parseTlvs(tlvs()).get(0x20)?.[0], 0)
  await proxy[Symbol.asyncDispose]()
})

test('the name is told where TLS goes through, and not where there is none', async () => {
  const { proxy, texts } = await start({ version: 2, authority: true })
  await proxy.connect({ frontend: 'passes', tls: { serverName: 'B.example' } })
  assert.deepEqual(texts(), ['2=b.example'])
  await proxy.connect({ frontend: 'passes', tls: { serverName: '' } })
  assert.deepEqual(texts(), [])
  await proxy[Symbol.asyncDispose]()
})
