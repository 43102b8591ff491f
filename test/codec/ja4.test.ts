import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { connect } from 'node:tls'
import { frameClientHello, parseClientHello } from '#sluice/codec/tls/client-hello.js'
import { type Ja4Input, ja4 } from '#sluice/codec/tls/ja4.js'
import { needs } from '../interop/support/programs.js'
import { CHROME, FIREFOX } from './hello-vectors.js'

needs('openssl')

const list = (hex: string) => (hex === '' ? [] : hex.split(',').map((item) => Number(`0x${item}`)))
/** From what FoxIO's tools print as 'JA4_ro': 'ciphers_extensions_schemes' in the client's order. */
function input(original: string, first = 'h2', version = 0x0304): Ja4Input {
  const [ciphers = '', extensions = '', schemes = ''] = original.split('_')
  return {
    versions: [version],
    ciphers: list(ciphers),
    extensions: list(extensions),
    signatureSchemes: list(schemes),
    alpn: [first],
  }
}

/** python/test/testdata/*.json of https://github.com/FoxIO-LLC/ja4. */
const published: Record<string, string> = {
  t13d1517h2_8daaf6152771_cb7bf5808d99:
    '1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035_fe0d,0010,0017,0033,44cd,ff01,000a,000d,0023,002b,000b,ca34,002d,0000,0005,001b,0012_0904,0905,0906,0403,0804,0401,0503,0805,0501,0806,0601',
  t13d1615h2_46e7e9700bed_45f260be83e2:
    '1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035,000a_0000,0017,ff01,000a,000b,0023,0010,0005,000d,0012,0033,002d,002b,001b,0015_0403,0804,0401,0503,0805,0501,0806,0601,0201',
}
for (const [fingerprint, original] of Object.entries(published)) {
  test(`the published lists give ${fingerprint}`, () => {
    assert.equal(ja4(input(original)), fingerprint)
  })
}

test('the first flights of browsers give the published fingerprints', () => {
  for (const { bytes, serverName, ja4 } of [CHROME, FIREFOX]) {
    const hello = parseClientHello(frameClientHello(bytes).message)
    assert.deepEqual([hello?.serverName, hello?.ja4], [serverName, ja4])
  }
})

test('the order of ciphers and extensions does not count, that of signature schemes does', () => {
  const one = ja4(input('1301,1302_0000,000a,000d_0403,0804'))
  assert.equal(ja4(input('1302,1301_000d,000a,0000_0403,0804')), one)
  assert.notEqual(ja4(input('1301,1302_0000,000a,000d_0804,0403')), one)
})

test('first and last character of the first protocol, or of its hexadecimal form', () => {
  const cases: Record<string, string> = {
    h2: 'h2',
    'http/1.1': 'h1',
    x: 'xx',
    '': '00',
    '\xab': 'ab',
    '\xab\xcd': 'ad',
    '0\xab': '3b',
    '01\xab\xcd': '3d',
    '0\xab\xcd1': '01',
    '-a': '21',
  }
  for (const [name, ends] of Object.entries(cases)) {
    assert.equal(ja4(input('1301_0010', name)).slice(8, 10), ends, JSON.stringify(name))
  }
  assert.equal(ja4({ ...input('1301_0000'), alpn: [] }).slice(8, 10), '00')
})

test('versions, by the highest', () => {
  const names = [
    [0x0304, '13'],
    [0x0303, '12'],
    [0x0302, '11'],
    [0x0301, '10'],
    [0x0300, 's3'],
    [0xfefd, 'd2'],
    [0x0999, '00'],
  ] as const
  for (const [version, name] of names) {
    assert.equal(ja4(input('1301_0000', 'h2', version)).slice(1, 3), name)
  }
  const several = { ...input('1301_0000'), versions: [0x0301, 0x0303, 0x0302] }
  assert.equal(ja4(several).slice(1, 3), '12')
  assert.equal(ja4({ ...several, versions: [] }).slice(1, 3), '00')
})

test('no name, empty lists, long lists, other transports', () => {
  const nothing: Ja4Input = {
    versions: [0x0303],
    ciphers: [],
    extensions: [],
    signatureSchemes: [],
    alpn: [],
  }
  assert.equal(ja4(nothing), 't12i000000_000000000000_000000000000')
  const only = { ...nothing, extensions: [0, 16] }
  assert.equal(ja4(only), 't12d000200_000000000000_000000000000')
  const many = { ...nothing, ciphers: Array.from({ length: 150 }, (_, i) => i) }
  assert.match(ja4(many), /^t12i990000_[0-9a-f]{12}_000000000000$/)
  assert.equal(ja4(nothing, 'q').slice(0, 4), 'q12i')
})

/** The first flight of a client that is started with the port of somebody who says nothing. */
async function capture(start: (port: number) => () => void) {
  let resolve = (_message: Uint8Array) => {}
  const promise = new Promise<Uint8Array>((done) => {
    resolve = done
  })
  const server = createServer((socket) => {
    let bytes = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      const { status, message } = frameClientHello(bytes)
      if (status === undefined) return
      socket.destroy()
      resolve(message)
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const stop = start((server.address() as { port: number }).port)
  const hello = parseClientHello(await promise)
  stop()
  server.close()
  assert.ok(hello)
  return hello
}

test('the ClientHello of node:tls', async () => {
  const hello = await capture((port) => {
    const options = {
      servername: 'Node.Example',
      ALPNProtocols: ['h2', 'http/1.1'],
      ciphers: 'TLS_AES_256_GCM_SHA384:ECDHE-RSA-AES128-GCM-SHA256',
      sigalgs: 'ECDSA+SHA256:rsa_pss_rsae_sha256',
      ecdhCurve: 'X25519:P-256',
    }
    const socket = connect({ host: '127.0.0.1', port, ...options })
    socket.on('error', () => {})
    return () => socket.destroy()
  })
  assert.equal(hello.serverName, 'node.example')
  assert.deepEqual(hello.alpn, ['h2', 'http/1.1'])
  assert.deepEqual(hello.versions, [0x0304, 0x0303])
  // 0x00ff: no renegotiation (RFC 5746).
  assert.deepEqual(hello.ciphers, [0x1302, 0xc02f, 0x00ff])
  assert.deepEqual(hello.signatureSchemes, [0x0403, 0x0804])
  assert.deepEqual(hello.groups, [29, 23])
  const count = String(hello.extensions.length).padStart(2, '0')
  assert.equal(hello.ja4.slice(0, 11), `t13d03${count}h2_`)
  assert.equal(hello.ja4, ja4(hello))
})

test('the ClientHello of openssl s_client, up to TLS 1.2', async () => {
  const hello = await capture((port) => {
    const options = ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256', '-noservername']
    const connectTo = ['-connect', `127.0.0.1:${port}`]
    const child = execFile('openssl', ['s_client', ...options, ...connectTo], () => {})
    return () => child.kill()
  })
  assert.equal(hello.serverName, '')
  assert.deepEqual(hello.alpn, [])
  assert.deepEqual(hello.versions, [0x0303])
  assert.deepEqual(hello.ciphers, [0xc02b, 0x00ff])
  const count = String(hello.extensions.length).padStart(2, '0')
  assert.equal(hello.ja4.slice(0, 11), `t12i02${count}00_`)
})
