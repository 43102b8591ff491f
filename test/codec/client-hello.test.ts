import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type ClientHello,
  frameClientHello,
  HelloReader,
  parseClientHello,
} from '#sluice/codec/tls/client-hello.js'
import { isServerName } from '#sluice/codec/tls/client-hello-pack.js'
import { HelloStatus, Layout } from '#sluice/wire/wire.js'
import {
  alpn,
  clientHello,
  type Extension,
  grease,
  type HelloOptions,
  helloFor,
  numbers,
  records,
  serverName,
  u16,
  versions,
} from './hello-bytes.js'
import { CHROME, FIREFOX } from './hello-vectors.js'

const { COMPLETE, NOT_TLS, MALFORMED, TOO_LARGE, OVERFLOW } = HelloStatus
const statusOf = (bytes: Uint8Array) => frameClientHello(bytes).status
const withExtensions = (...extensions: Extension[]) => clientHello({ extensions })
const parse = (...extensions: Extension[]) => parseClientHello(withExtensions(...extensions))
const nameOf = (...extensions: Extension[]) => parse(...extensions)?.serverName

function fields(hello: ClientHello | undefined): unknown {
  if (hello === undefined) return undefined
  const { alpn, ciphers, extensions, groups, ja4, versions, signatureSchemes } = hello
  return [hello.serverName, alpn, ciphers, extensions, groups, ja4, versions, signatureSchemes]
}

test('a message in one record is a view of it, in many it is put together', () => {
  const message = withExtensions(serverName('www.example.com'), grease(3))
  for (let size = 1; size <= message.length; size++) {
    const bytes = records(message, size)
    const framed = frameClientHello(bytes)
    assert.equal(framed.status, COMPLETE)
    assert.deepEqual(Buffer.from(framed.message), message, `records of ${size}`)
    for (let end = 0; end < bytes.length; end++) {
      assert.equal(statusOf(bytes.subarray(0, end)), undefined, `${end} of records of ${size}`)
    }
  }
  const one = records(message)
  assert.equal(frameClientHello(one).message.buffer, one.buffer)
})

test('what follows the message is not looked at', () => {
  const message = withExtensions(serverName('a.example'))
  for (const behind of ['16', '17ffff', '140303000101', '1603030000']) {
    const after = Buffer.concat([records(message, 7), Buffer.from(behind, 'hex')])
    assert.deepEqual(Buffer.from(frameClientHello(after).message), message)
    const inside = records(Buffer.concat([message, Buffer.from(behind, 'hex')]))
    assert.deepEqual(Buffer.from(frameClientHello(inside).message), message)
  }
})

test('what is no TLS is told by its first bytes', () => {
  for (const bytes of [
    'G',
    'GET / HTTP/1.1\r\n',
    '\x80\x2e\x01\x03\x01',
    '\x16\x02',
    '\x15\x03\x01',
  ]) {
    assert.equal(statusOf(Buffer.from(bytes, 'latin1')), NOT_TLS, bytes)
  }
  assert.equal(statusOf(Buffer.alloc(0)), undefined)
  assert.equal(statusOf(Buffer.from([22])), undefined)
})

test('records that hold no ClientHello are malformed, at the byte that says so', () => {
  const half = records(clientHello().subarray(0, 20))
  const behind = (hex: string) => Buffer.concat([half, Buffer.from(hex, 'hex')])
  const wrong = {
    'an empty record': Buffer.from('1603010000', 'hex'),
    'another message': Buffer.from('160301000502', 'hex'),
    'a record of another type': behind('17'),
    'a record of another version': behind('1602'),
    'an empty record behind': behind('1603010000'),
  }
  for (const [what, bytes] of Object.entries(wrong)) {
    assert.equal(statusOf(bytes), MALFORMED, what)
    assert.equal(statusOf(bytes.subarray(0, -1)), undefined, what)
  }
})

test('a record that is longer than records may be', () => {
  const half = records(clientHello().subarray(0, 20))
  for (const before of [Buffer.alloc(0), half]) {
    const of = (hex: string) => statusOf(Buffer.concat([before, Buffer.from(hex, 'hex')]))
    assert.equal(of('1603014000'), undefined)
    assert.equal(of('1603014001'), HelloStatus.OVERFLOW)
    assert.equal(of('160301ffff'), HelloStatus.OVERFLOW)
  }
})

test('a ClientHello of the greatest length is read, one byte more is too large', () => {
  const padding = (length: number) => ({ type: 21, body: Buffer.alloc(length) })
  const least = withExtensions(serverName('a.example'), padding(0)).length
  const room = Layout.MAX_HELLO - least
  const largest = withExtensions(serverName('a.example'), padding(room))
  const bytes = records(largest)
  assert.equal(largest.length, Layout.MAX_HELLO)
  assert.equal(bytes.length, 5 + Layout.MAX_HELLO, 'one record')
  assert.equal(statusOf(bytes), COMPLETE)
  assert.equal(parseClientHello(frameClientHello(bytes).message)?.serverName, 'a.example')
  // The length says it at once.
  const larger = records(withExtensions(serverName('a.example'), padding(room + 1)))
  assert.equal(statusOf(larger.subarray(0, 9)), TOO_LARGE)
  assert.equal(statusOf(Buffer.from('160301000401ffffff', 'hex')), TOO_LARGE)
  // Headers of records do not count.
  for (const size of [10_000, 100]) assert.equal(statusOf(records(largest, size)), COMPLETE)
})

test('a reader goes on where it stopped, for so many pieces', () => {
  const drip = (bytes: Uint8Array) => {
    const reader = new HelloReader()
    for (let end = 1; end <= bytes.length; end++) {
      const { status, message } = reader.goOn(bytes.subarray(0, end))
      if (status !== undefined) return { status, end, message: Buffer.from(message) }
    }
    return undefined
  }
  const message = clientHello()
  for (const size of [1, 3, 4, 100, 16_384]) {
    const bytes = records(message, size)
    assert.deepEqual(drip(bytes), { status: COMPLETE, end: bytes.length, message })
  }
  const pieces = Layout.MAX_HELLO_PIECES
  const header = clientHello().subarray(0, 4)
  const sized = (length: number) => {
    const long = Buffer.alloc(length)
    header.copy(long)
    long.writeUIntBE(length - 4, 1, 3)
    return long
  }
  assert.equal(statusOf(records(sized(pieces), 1)), COMPLETE)
  assert.equal(statusOf(records(sized(pieces + 1), 1)), HelloStatus.DRIPPED)
  const late = drip(records(sized(pieces)))
  assert.deepEqual([late?.status, late?.end], [HelloStatus.DRIPPED, pieces])
  // What brings no byte is no piece.
  const again = new HelloReader()
  for (let i = 0; i < 2 * pieces; i++) assert.equal(again.goOn(Buffer.of(22)).status, undefined)
})

test('any split of real hellos into records gives the same message', () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 })
  const property = fc.property(fc.constantFrom(CHROME, FIREFOX), cuts, ({ bytes }, sizes) => {
    const message = bytes.subarray(5)
    const parts: Buffer[] = []
    let at = 0
    for (let i = 0; at < message.length; i++) {
      const size = sizes[i] ?? message.length
      parts.push(records(message.subarray(at, at + size)))
      at += size
    }
    assert.deepEqual(Buffer.from(frameClientHello(Buffer.concat(parts)).message), message)
  })
  fc.assert(property)
})

test('every field of a hello that has them all', () => {
  const hello = parse(
    grease(1),
    serverName('a.example'),
    alpn('h2', 'http/1.1'),
    versions(0x1a1a, 0x0304, 0x0303),
    numbers(10, 0x2a2a, 0x11ec, 29, 23),
    numbers(13, 0x0403, 0x3a3a, 0x0804),
    grease(4),
  )
  assert.ok(hello)
  assert.equal(hello.serverName, 'a.example')
  assert.deepEqual(hello.alpn, ['h2', 'http/1.1'])
  assert.deepEqual(hello.versions, [0x0304, 0x0303])
  assert.deepEqual(hello.ciphers, [0x1301, 0x1302, 0x1303])
  assert.deepEqual(hello.extensions, [0, 16, 43, 10, 13])
  assert.deepEqual(hello.groups, [0x11ec, 29, 23])
  assert.deepEqual(hello.signatureSchemes, [0x0403, 0x0804])
})

test('without extensions the version is that of the message, the rest is empty', () => {
  for (const hello of [parseClientHello(clientHello()), parse()]) {
    assert.ok(hello)
    assert.deepEqual(hello.versions, [0x0303])
    assert.deepEqual(hello.ciphers, [0x1301, 0x1302, 0x1303])
    const { alpn, extensions, groups, signatureSchemes } = hello
    assert.deepEqual([alpn, extensions, groups, signatureSchemes], [[], [], [], []])
    assert.equal(hello.serverName, '')
  }
})

test('what is kept does not change with the bytes it was read from', () => {
  const message = Buffer.from(CHROME.bytes.subarray(5))
  const hello = parseClientHello(message)
  message.fill(0xff)
  assert.deepEqual(fields(hello), fields(parseClientHello(CHROME.bytes.subarray(5))))
})

test('bytes in shared memory are read as others', () => {
  const message = CHROME.bytes.subarray(5)
  const shared = new Uint8Array(new SharedArrayBuffer(message.length))
  shared.set(message)
  assert.deepEqual(fields(parseClientHello(shared)), fields(parseClientHello(message)))
})

test('names are lower case, without a final dot, wherever the extension stands', () => {
  assert.equal(nameOf(serverName('WWW.Example.COM')), 'www.example.com')
  assert.equal(nameOf(serverName('a.example.')), 'a.example')
  assert.equal(nameOf(serverName('_sip._tcp.x')), '_sip._tcp.x')
  const others = [grease(1), versions(0x0304), grease(14)]
  for (let at = 0; at <= others.length; at++) {
    assert.equal(nameOf(...others.slice(0, at), serverName('a.b'), ...others.slice(at)), 'a.b')
  }
})

test('a name entry of another type is skipped', () => {
  const odd = { type: 7, name: 'odd' }
  assert.equal(nameOf(serverName(odd, 'a.example')), 'a.example')
  assert.equal(nameOf(serverName(odd)), '')
})

test('a name is only looked at, whatever it is', () => {
  const long = `${'a.'.repeat(126)}bbbb`
  for (const [sent, seen] of [
    ['.', '.'],
    ['::1', '::1'],
    ['a.example:443', 'a.example:443'],
    ['-x-.W.example', '-x-.w.example'],
    ['*.a.example', '*.a.example'],
    ['a..example', 'a..example'],
    ['a b', 'a\\x20b'],
    ['a.example\0.evil', 'a.example\\x00.evil'],
    ['m\xc3\xbcnchen', 'm\\xc3\\xbcnchen'],
    ['a\\x00\n\x1b', 'a\\x5cx00\\x0a\\x1b'],
    ['a'.repeat(64), 'a'.repeat(64)],
    [long.slice(0, 255), long.slice(0, 255)],
    [long, `${long.slice(0, 255)}...`],
  ] as const) {
    assert.equal(nameOf(serverName(sent)), seen)
  }
})

test('which names are those of hosts', () => {
  const hosts = ['a', 'a.example', 'x_y.a-b.c9', '10.example', '192.0.2.1', '::1', 'a'.repeat(63)]
  for (const name of hosts) assert.ok(isServerName(name), name)
  const others = [
    '',
    '.',
    'a..b',
    '-a',
    'a-',
    'a-.b',
    'a:443',
    '*.a',
    'a.1',
    'a\\x20',
    'a'.repeat(64),
  ]
  for (const name of [...others, 'a.'.repeat(127)]) assert.ok(!isServerName(name), name)
})

const bare = (type: number, hex: string): HelloOptions => ({
  extensions: [{ type, body: Buffer.from(hex, 'hex') }],
})
const wrong: Record<string, HelloOptions> = {
  'a ServerHello': { type: 2 },
  'a session id of 33 bytes': { sessionId: Buffer.alloc(33) },
  'no cipher suites': { ciphers: Buffer.alloc(0) },
  'half a cipher suite': { ciphers: Buffer.from('130113', 'hex') },
  'no compression methods': { compression: Buffer.alloc(0) },
  'one byte behind the compression methods': { tail: Buffer.from([0]) },
  'extensions longer than the message': { tail: u16(9) },
  'bytes behind the extensions': { tail: Buffer.from('000000', 'hex') },
  'half an extension': { tail: Buffer.from('0003000000', 'hex') },
  'an extension longer than the list': { tail: Buffer.from('000400170001', 'hex') },
  'an empty server name extension': bare(0, ''),
  'an empty list of names': bare(0, '0000'),
  'a list of names longer than its extension': bare(0, '0005'),
  'bytes behind the list of names': bare(0, '000400000161ff'),
  'a name longer than the list': bare(0, '000400000961'),
  'two host names': { extensions: [serverName('a.example', 'b.example')] },
  'two server name extensions': { extensions: [serverName('a.example'), serverName('b.example')] },
  'an empty name': { extensions: [serverName('')] },
  'an empty ALPN extension': bare(16, ''),
  'a protocol longer than the list': bare(16, '0003056832'),
  'bytes behind the protocols': bare(16, '000302683200'),
  'two ALPN extensions': { extensions: [alpn('h2'), alpn('h2')] },
  'an empty versions extension': bare(43, ''),
  'half a version': bare(43, '0103'),
  'versions longer than their extension': bare(43, '040304'),
  'two versions extensions': { extensions: [versions(0x0304), versions(0x0304)] },
  'one byte of groups': bare(10, '00'),
  'half a group': bare(10, '000100'),
  'bytes behind the groups': bare(10, '0002001d00'),
  'two groups extensions': { extensions: [numbers(10, 29), numbers(10, 29)] },
  'half a signature scheme': bare(13, '000104'),
  'two signature scheme extensions': { extensions: [numbers(13, 1), numbers(13, 1)] },
}
for (const [what, options] of Object.entries(wrong)) {
  test(`malformed: ${what}`, () => {
    const message = clientHello(options)
    assert.equal(parseClientHello(message), undefined)
  })
}

test('every prefix of a message, and a message with more behind it, is malformed', () => {
  for (const { bytes } of [CHROME, FIREFOX]) {
    const message = bytes.subarray(5)
    for (let end = 0; end < message.length; end++) {
      assert.equal(parseClientHello(message.subarray(0, end)), undefined, `${end} bytes`)
    }
    assert.equal(parseClientHello(Buffer.concat([message, Buffer.alloc(1)])), undefined)
  }
})

test('no change to real hellos makes it throw, in any field', () => {
  const hellos = [CHROME.bytes, FIREFOX.bytes, helloFor('www.example.com')]
  const property = fc.property(
    fc.constantFrom(...hellos),
    fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 4 }),
    fc.nat(600),
    (hello, changes, end) => {
      const bytes = Buffer.from(hello)
      for (const [at, value] of changes) bytes[at % bytes.length] = value
      const { status, message } = frameClientHello(bytes.subarray(0, end))
      assert.ok(
        [undefined, COMPLETE, NOT_TLS, MALFORMED, TOO_LARGE, OVERFLOW].includes(status as 0),
      )
      fields(parseClientHello(message))
      // The message's own length stays right, so that changes reach its fields.
      const inner = Buffer.from(bytes.subarray(5))
      hello.copy(inner, 0, 5, 9)
      const parsed = parseClientHello(inner)
      if (parsed) assert.match(parsed.ja4, /^t..[di]\d{4}[0-9A-Za-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}$/)
      fields(parsed)
    },
  )
  fc.assert(property, { numRuns: 2_000 })
})

test('no bytes make it throw', () => {
  const property = fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    frameClientHello(bytes)
    const body = Buffer.concat([Buffer.from([1, 0, 0, bytes.length]), bytes])
    fields(parseClientHello(body))
    fields(parseClientHello(bytes))
  })
  fc.assert(property, { numRuns: 1_000 })
})
