/** The plugin protocol-detection, without a network. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ProtocolDetectionOptions, protocolDetection } from 'sluice/plugins/protocol-detection'
import { createTestProxy } from 'sluice/testing'
import { detect } from '#sluice/plugins/detect.js'

const bytes = (text: string) => Buffer.from(text, 'latin1')

test('detection needs no more bytes than it takes', () => {
  const cases: [string, ReturnType<typeof detect>][] = [
    ['', undefined],
    ['S', undefined],
    ['SSH', undefined],
    ['SSH-', 'ssh'],
    ['SSH-2.0-OpenSSH_9.2\r\n', 'ssh'],
    ['SEARCH / HTTP/1.1', 'http'],
    ['SSH ', 'http'],
    ['GET', undefined],
    ['GET ', 'http'],
    ['M-SEARCH * HTTP/1.1', 'http'],
    ['PRI * HTTP/2.0\r\n', 'http'],
    ['\x16', undefined],
    ['\x16\x03', 'tls'],
    ['\x16\x03\x01\x02\x00\x01', 'tls'],
    ['\x16\x02', 'unknown'],
    ['\x80\x2e\x01\x03\x01', 'unknown'],
    [' GET', 'unknown'],
    ['get / HTTP/1.1', 'unknown'],
    ['\r\n', 'unknown'],
    ['ABCDEFGHIJKLMNOPQRST', undefined],
    ['ABCDEFGHIJKLMNOPQRST ', 'http'],
    ['ABCDEFGHIJKLMNOPQRSTU', 'unknown'],
    ['\0', 'unknown'],
  ]
  for (const [text, protocol] of cases) {
    assert.equal(detect(bytes(text)), protocol, JSON.stringify(text))
  }
})

function start(options: ProtocolDetectionOptions) {
  return createTestProxy({
    frontends: { any: { bind: '127.0.0.1:80', backend: 'waiting' } },
    backends: {
      ssh: { servers: { a: '127.0.0.1:9001' } },
      https: { servers: { a: '127.0.0.1:9002' } },
      http: { servers: { a: '127.0.0.1:9003' } },
      waiting: { servers: { a: '127.0.0.1:9004' } },
    },
    use: [protocolDetection(options)],
  })
}

const backends = { ssh: 'ssh', tls: 'https', http: 'http' }

test('each protocol has its backend, which sees every byte, however it comes', async () => {
  await using proxy = await start({ backends })
  const openings = { ssh: 'SSH-2.0-x\r\n', tls: '\x16\x03\x01\0\x05', http: 'GET / HTTP/1.1\r\n' }
  for (const [protocol, opening] of Object.entries(openings)) {
    for (const split of ['every', 1] as const) {
      const result = await proxy.connect({ bytes: bytes(opening), split })
      assert.equal(result.backend, backends[protocol as keyof typeof backends])
      assert.deepEqual(result.sent, bytes(opening))
      assert.equal(result.vars.protocol, protocol)
    }
  }
  assert.deepEqual(
    proxy
      .stats()
      .plugins['protocol-detection']?.detected_total?.values.map(
        ({ labels, value }) => `${labels.protocol} ${value}`,
      ),
    ['ssh 2', 'tls 2', 'http 2'],
  )
})

test('who has no backend is closed; others may have one', async () => {
  await using closed = await start({ backends })
  const garbage = await closed.connect({ bytes: '\0\0' })
  assert.deepEqual([garbage.verdict, garbage.rule], ['rejected', 'protocol-detection/detect'])
  const cut = await closed.connect({ bytes: 'GE', fin: true })
  assert.equal(cut.verdict, 'rejected')
  await using open = await start({ backends: { unknown: 'http' } })
  assert.equal((await open.connect({ bytes: '\0\0' })).backend, 'http')
  assert.equal((await open.connect({ bytes: 'SSH-2.0' })).verdict, 'rejected')
})

test('a silent client goes on to the default backend', async () => {
  await using proxy = await start({ backends, wait: '3s' })
  const silent = await proxy.connect()
  await proxy.advance('2999ms')
  assert.equal(silent.backend, undefined)
  await proxy.advance('1ms')
  assert.equal(silent.backend, 'waiting')
  const slow = await proxy.connect({ bytes: 'GE' })
  await proxy.advance('3s')
  assert.equal(slow.verdict, 'rejected')
})

test('what is wrong in its options is told with the path', async () => {
  const told = (options: object) =>
    start(options as ProtocolDetectionOptions).then(() => '', String)
  assert.match(
    await told({ backends: { ssh: 'shs' } }),
    /plugins\[0\]: there is no backend named 'shs'\. Did you mean 'ssh'\?/,
  )
  const text = await told({ backends: { shs: 'ssh', http: 7 }, wait: '0s' })
  assert.match(text, /plugins\[0\]\.backends\.shs: is unknown\. Did you mean 'ssh'\?/)
  assert.match(text, /plugins\[0\]\.backends\.http: expected the name of a backend, got 7\./)
  assert.match(text, /plugins\[0\]\.wait: /)
})
