import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_HELLO, readServerName } from '../../examples/sni-routing/client-hello.js'
import { NameTable } from '../../examples/sni-routing/names.js'
import {
  clientHello,
  type Extension,
  grease,
  type HelloOptions,
  helloFor,
  records,
  serverName,
  u16,
} from './hello-bytes.js'

const read = (message: Buffer) => readServerName(records(message))
const kindOf = (bytes: Uint8Array) => readServerName(bytes).kind
const withExtensions = (...extensions: Extension[]) => clientHello({ extensions })
const name = (text: string) => ({ kind: 'name', name: text })

test('the name is found among GREASE and other extensions, wherever it stands', () => {
  const others = [grease(1), { type: 43, body: Buffer.from('020304', 'hex') }, grease(14)]
  for (let at = 0; at <= others.length; at++) {
    const extensions = [...others.slice(0, at), serverName('a.example'), ...others.slice(at)]
    assert.deepEqual(read(clientHello({ extensions })), name('a.example'))
  }
})

test('names are lower case, without a trailing dot', () => {
  assert.deepEqual(read(withExtensions(serverName('WWW.Example.COM'))), name('www.example.com'))
  assert.deepEqual(read(withExtensions(serverName('a.example.'))), name('a.example'))
  assert.deepEqual(read(withExtensions(serverName('_sip._tcp.x'))), name('_sip._tcp.x'))
})

test('a name entry of another type is skipped', () => {
  const odd = { type: 7, name: 'odd' }
  assert.deepEqual(read(withExtensions(serverName(odd, 'a.example'))), name('a.example'))
  assert.deepEqual(read(withExtensions(serverName(odd))), { kind: 'none' })
})

test('no name: no extension of that type, or no extensions at all', () => {
  assert.deepEqual(read(withExtensions(grease(2))), { kind: 'none' })
  assert.deepEqual(read(withExtensions()), { kind: 'none' })
  assert.deepEqual(read(clientHello()), { kind: 'none' })
})

test('every prefix wants more, and what follows the message is not looked at', () => {
  const hello = helloFor('www.example.com')
  for (let end = 0; end < hello.length; end++) {
    assert.equal(kindOf(hello.subarray(0, end)), 'more', `${end} bytes`)
  }
  const followed = Buffer.concat([hello, Buffer.from('1403030001 01'.replace(' ', ''), 'hex')])
  assert.deepEqual(readServerName(followed), name('www.example.com'))
})

test('a message in many records is put together, at any size of record', () => {
  const message = withExtensions(serverName('www.example.com'), grease(3))
  for (let size = 1; size <= message.length; size++) {
    const bytes = records(message, size)
    assert.deepEqual(readServerName(bytes), name('www.example.com'), `records of ${size}`)
    assert.equal(kindOf(bytes.subarray(0, -1)), 'more')
  }
})

test('the message may end in the middle of a record', () => {
  const two = Buffer.concat([withExtensions(serverName('a.example')), Buffer.alloc(10)])
  assert.deepEqual(readServerName(records(two)), name('a.example'))
})

const wrong: Record<string, Uint8Array> = {
  'an HTTP request': Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  'an alert': Buffer.from('15030100020100', 'hex'),
  'SSL 2': Buffer.from('802e0103010015', 'hex'),
  'an empty record': Buffer.from('1603010000', 'hex'),
  'a record that is too long': Buffer.from('1603014001', 'hex'),
  'a second record of another type': Buffer.concat([
    records(clientHello().subarray(0, 20)),
    Buffer.from('170303', 'hex'),
  ]),
  'a ServerHello': records(clientHello({ type: 2 })),
  'a message that is too long': Buffer.from('16030100040100ffff', 'hex'),
}

const wrongHello: Record<string, HelloOptions> = {
  'no cipher suites': { ciphers: Buffer.alloc(0) },
  'no compression methods': { compression: Buffer.alloc(0) },
  'one byte behind the compression methods': { tail: Buffer.from([0]) },
  'extensions longer than the message': { tail: u16(9) },
  'bytes behind the extensions': { tail: Buffer.from('000000', 'hex') },
  'half an extension': { tail: Buffer.from('0003000000', 'hex') },
  'an extension longer than the list': { tail: Buffer.from('000400170001', 'hex') },
  'an empty extension': { extensions: [{ type: 0, body: Buffer.alloc(0) }] },
  'an empty list of names': { extensions: [{ type: 0, body: Buffer.from('0000', 'hex') }] },
  'a list longer than its extension': { extensions: [{ type: 0, body: u16(5) }] },
  'bytes behind the list': {
    extensions: [{ type: 0, body: Buffer.concat([serverName('a').body, Buffer.alloc(1)]) }],
  },
  'a name longer than the list': {
    extensions: [{ type: 0, body: Buffer.from('000400000961', 'hex') }],
  },
  'two host names': { extensions: [serverName('a.example', 'b.example')] },
  'two extensions': { extensions: [serverName('a.example'), serverName('b.example')] },
  'an empty name': { extensions: [serverName('')] },
  'a NUL in the name': { extensions: [serverName('a.example\0.evil')] },
  'a name with a space': { extensions: [serverName('a b')] },
  'a name of 254 characters': { extensions: [serverName('a.'.repeat(127))] },
  'a label of 64 characters': { extensions: [serverName('a'.repeat(64))] },
  'a name that begins with a dot': { extensions: [serverName('.example')] },
  'bytes of UTF-8': { extensions: [serverName('m\xc3\xbcnchen.example')] },
}

for (const [what, bytes] of Object.entries(wrong)) {
  test(`wrong: ${what}`, () => assert.equal(kindOf(bytes), 'invalid'))
}
for (const [what, options] of Object.entries(wrongHello)) {
  test(`wrong: ${what}`, () => assert.equal(read(clientHello(options)).kind, 'invalid'))
}

test('a ClientHello of the greatest length is read, one byte more is refused', () => {
  const padding = (length: number) => ({ type: 21, body: Buffer.alloc(length) })
  const least = withExtensions(serverName('a.example'), padding(0)).length
  const fitting = withExtensions(serverName('a.example'), padding(MAX_HELLO - least))
  assert.equal(fitting.length, MAX_HELLO)
  assert.deepEqual(read(fitting), name('a.example'))
  const more = withExtensions(serverName('a.example'), padding(MAX_HELLO - least + 1))
  assert.equal(read(more).kind, 'invalid')
})

test('no bytes make it throw, and a changed length never makes it read past the end', () => {
  const hello = helloFor('www.example.com')
  const property = fc.property(
    fc.array(fc.tuple(fc.nat(hello.length - 1), fc.nat(255)), { maxLength: 4 }),
    fc.nat(hello.length),
    (changes, end) => {
      const bytes = Buffer.from(hello)
      for (const [at, value] of changes) bytes[at] = value
      assert.ok(['more', 'name', 'none', 'invalid'].includes(kindOf(bytes.subarray(0, end))))
    },
  )
  fc.assert(property, { numRuns: 2_000 })
})

test('the table finds exact names, then the longest wildcard, then the rest', () => {
  const table = new NameTable({
    'www.example.com': 'exact',
    '*.example.com': 'short',
    '*.API.example.com': 'long',
    '*': 'rest',
  })
  const cases: Record<string, string> = {
    'www.example.com': 'exact',
    'other.example.com': 'short',
    'a.b.example.com': 'short',
    'v1.api.example.com': 'long',
    'api.example.com': 'short',
    'example.com': 'rest',
    'notexample.com': 'rest',
    localhost: 'rest',
    constructor: 'rest',
  }
  for (const [host, value] of Object.entries(cases)) assert.equal(table.find(host), value, host)
  assert.equal(new NameTable({ 'a.example': 1 }).find('b.example'), undefined)
})
