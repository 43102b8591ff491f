/** What comes instead of a ClientHello, and ClientHellos that are no good. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { clientHello, records, serverName } from '../codec/hello-bytes.js'
import { makeAuthority } from '../support/certificates.js'
import { fragment } from '../support/tls-relay.js'
import { type Stage, terminating, tlsTest } from '../support/tls-site.js'

const issued = makeAuthority().issue({ names: ['a.example'] })
const tls = { cert: issued.pemFile }
const hasty = terminating(tls, { config: { timeouts: { handshake: '200ms' } } })
const patient = terminating(tls)

/** Sends bytes and waits for the end. What came back, and why it ended. */
async function say(
  stage: Stage,
  bytes: Uint8Array | string,
  n: number,
): Promise<{ answer: Buffer; reason: string }> {
  const client = await stage.dialRaw()
  // The proxy may have reset the connection before all was sent.
  await client.send(bytes).catch(() => {})
  await client.ending()
  client.destroy()
  return { answer: client.rest(), reason: (await stage.end(n)).reason }
}

const record = (type: number, content: Buffer) =>
  Buffer.concat([Buffer.from([type, 3, 1, content.length >> 8, content.length & 255]), content])

const garbage: Record<string, Uint8Array | string> = {
  'a banner': 'SSH-2.0-OpenSSH_9.2\r\n',
  'a byte': Uint8Array.of(0),
  'random bytes': Buffer.concat([Buffer.from([0x80]), randomBytes(5000)]),
  'an SSL 2.0 hello': Buffer.from('802e0100020015000000100100800300800700c0', 'hex'),
  'a PROXY header that nobody asked for': 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n',
  'a megabyte of nothing': Buffer.alloc(1_000_000),
  // Of TLS, and nothing that a handshake begins with.
  'an alert': record(21, Buffer.from([2, 40])),
  'a close_notify': record(21, Buffer.from([1, 0])),
  'application data': record(23, randomBytes(100)),
  'a ChangeCipherSpec': record(20, Buffer.from([1])),
}

for (const [name, bytes] of Object.entries(garbage)) {
  tlsTest(`instead of a ClientHello: ${name}`, patient, async (stage) => {
    assert.equal((await say(stage, bytes, 0)).reason, 'client tls not-tls')
    await stage.pair()
  })
}

const requests = [
  'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n',
  'POST /x HTTP/1.0\r\nContent-Length: 100000\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\n\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
]

tlsTest('plain HTTP is answered with a 400', patient, async (stage) => {
  for (const [n, request] of requests.entries()) {
    const { answer, reason } = await say(stage, request, n)
    assert.equal(reason, 'client tls plain-http', request)
    assert.match(answer.toString(), /^HTTP\/1\.[01] 400 [\s\S]*\r\n\r\n[\s\S]*(TLS|HTTPS|https)/)
  }
})

tlsTest('plain HTTP with a body that keeps coming', patient, async (stage) => {
  const request = `PUT /big HTTP/1.1\r\n\r\n${'x'.repeat(500_000)}`
  const { answer, reason } = await say(stage, request, 0)
  assert.equal(reason, 'client tls plain-http')
  assert.match(answer.toString(), /^HTTP\/1\.[01] 400 /)
})

tlsTest('plain HTTP byte by byte', patient, async (stage) => {
  const client = await stage.dialRaw()
  await client.sendByteByByte(Buffer.from('GET / HTTP/1.1\r\n\r\n')).catch(() => {})
  await client.ending()
  // One byte is enough to know that it is not TLS, and too little for more.
  assert.match((await stage.end(0)).reason, /^client tls (plain-http|not-tls)$/)
})

const good = clientHello({ extensions: [serverName('a.example')] })

/** A hello whose ALPN offer has this many bytes. */
const offer = (bytes: number) => {
  const names = Array.from({ length: Math.ceil(bytes / 200) }, (_, i) => `${i} `.padEnd(199, 'x'))
  return { ALPNProtocols: names, servername: 'a.example' }
}

tlsTest('a large ClientHello that fits', patient, async (stage) => {
  for (const bytes of [2_000, 8_000, 14_000]) {
    const { client, server } = await stage.pair(offer(bytes))
    await server.send('fine')
    await client.expect('fine')
  }
  const firstUp = (hello: Buffer) => fragment(hello, 3)
  const relay = await stage.relay(stage.site.port, { firstUp })
  await stage.dial(offer(4_000), relay.port)
})

tlsTest('a ClientHello that is too large', patient, async (stage) => {
  const padding = { type: 21, body: Buffer.alloc(20_000) }
  const large = clientHello({ extensions: [serverName('a.example'), padding] })
  const sizes = [16_384, 1_000, 64]
  for (const [n, size] of sizes.entries()) {
    const { reason } = await say(stage, records(large, size), n)
    assert.equal(reason, 'client tls tls-hello-too-large', `records of ${size}`)
  }
  // It says so itself in its first bytes.
  const header = Buffer.from('16030100050100ffff03', 'hex')
  assert.equal((await say(stage, header, sizes.length)).reason, 'client tls tls-hello-too-large')
})

const malformed: Record<string, Buffer> = {
  'another handshake message': record(22, Buffer.from([2, 0, 0, 4, 1, 2, 3, 4])),
  'an alert in the middle of a ClientHello': Buffer.concat([
    records(good.subarray(0, 20)),
    record(21, Buffer.from([2, 40])),
  ]),
  'a record that is too long': Buffer.from('160301ffff01', 'hex'),
  'a ClientHello that ends in its middle': records(
    Buffer.concat([Buffer.from([1, 0, 0, 10]), Buffer.alloc(10, 3)]),
  ),
  'a length inside that is too large': records(clientHello({ tail: Buffer.from('ffff00', 'hex') })),
  'no cipher suites': records(clientHello({ ciphers: Buffer.alloc(0) })),
}

for (const [name, bytes] of Object.entries(malformed)) {
  tlsTest(`records that hold no ClientHello: ${name}`, patient, async (stage) => {
    assert.equal((await say(stage, bytes, 0)).reason, 'client tls tls-malformed')
    await stage.pair()
  })
}

/** How many bytes of a ClientHello come before the client stops. */
const portions = [0, 1, 4, 5, 6, 9, 40]

tlsTest('a client that stops before its ClientHello is complete', hasty, async (stage) => {
  const hello = await stage.hello()
  const clients = [...portions, hello.length - 1].map(async (length) => {
    const client = await stage.dialRaw()
    if (length > 0) await client.send(hello.subarray(0, length))
    await client.ending()
  })
  await Promise.all(clients)
  for (let n = 0; n < clients.length; n++) {
    assert.equal((await stage.end(n)).reason, 'timeout tls handshake-timeout')
  }
})

tlsTest('a client that sends its ClientHello too slowly', hasty, async (stage) => {
  const hello = await stage.hello()
  const client = await stage.dialRaw()
  let sending = true
  void client.ending().then(() => {
    sending = false
  })
  // Every byte is progress, and the deadline stands all the same.
  for (let at = 0; at < hello.length && sending; at++) {
    await client.send(hello.subarray(at, at + 1)).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  assert.equal(sending, false, 'the whole ClientHello was awaited')
  assert.equal((await stage.end(0)).reason, 'timeout tls handshake-timeout')
})

for (const [how, act, expected] of [
  ['FIN', (client: { fin(): void }) => client.fin(), 'client tls aborted'],
  ['RST', (client: { reset(): void }) => client.reset(), 'client tls reset'],
] as const) {
  tlsTest(
    `a client that ends by ${how} before its ClientHello is complete`,
    patient,
    async (stage) => {
      const hello = await stage.hello()
      for (const [n, length] of [...portions, hello.length - 1].entries()) {
        const client = await stage.dialRaw()
        if (length > 0) await client.send(hello.subarray(0, length))
        await new Promise((resolve) => setTimeout(resolve, 30))
        act(client)
        assert.equal((await stage.end(n)).reason, expected, `after ${length} bytes`)
        client.destroy()
      }
    },
  )
}

tlsTest('ClientHellos with a byte that is wrong', patient, async (stage) => {
  const hello = await stage.hello({ servername: 'a.example', ALPNProtocols: ['h2'] })
  const clients = Array.from({ length: 120 }, async (_, i) => {
    const bad = Buffer.from(hello)
    const at = Math.floor((i * hello.length) / 120)
    bad[at] = (bad[at] as number) ^ (1 << (i % 8))
    const client = await stage.dialRaw()
    await client.send(bad).catch(() => {})
    client.fin()
    await client.ending()
    client.destroy()
  })
  await Promise.all(clients)
  await stage.site.until(() => stage.site.records.length === 120, 'every session ends')
  for (const { by, phase } of stage.site.records) assert.deepEqual([by, phase], ['client', 'tls'])
  await stage.pair()
})

tlsTest('ClientHellos that are cut short inside', patient, async (stage) => {
  const whole = (await stage.hello({ servername: 'a.example' })).subarray(9)
  const lengths = Array.from({ length: 60 }, (_, i) => Math.floor((i * whole.length) / 60))
  const clients = lengths.map(async (length) => {
    const message = Buffer.concat([
      Buffer.from([1, 0, length >> 8, length & 255]),
      whole.subarray(0, length),
    ])
    const client = await stage.dialRaw()
    await client.send(records(message)).catch(() => {})
    client.fin()
    await client.ending()
    client.destroy()
  })
  await Promise.all(clients)
  await stage.site.until(() => stage.site.records.length === 60, 'every session ends')
  for (const { by, phase } of stage.site.records) assert.deepEqual([by, phase], ['client', 'tls'])
})
