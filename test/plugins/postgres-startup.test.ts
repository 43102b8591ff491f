import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  errorResponse,
  MAX_STARTUP,
  readStartup,
  type Startup,
} from '#sluice/plugins/postgres-startup.js'
import {
  cancelRequest,
  errorFields,
  gssRequest,
  PROTOCOL,
  packet,
  sslRequest,
  startup,
} from '../examples/postgres-peer.js'

const kindOf = (bytes: Uint8Array) => readStartup(bytes).kind

test('user, database and every parameter are read', () => {
  const parameters = { user: 'anna', database: 'orders', application_name: 'psql', options: '' }
  const read = readStartup(startup(parameters)) as Extract<Startup, { kind: 'startup' }>
  assert.equal(read.kind, 'startup')
  assert.equal(read.user, 'anna')
  assert.equal(read.database, 'orders')
  assert.deepEqual(Object.fromEntries(read.parameters), parameters)
})

test('the database is the user without one, and text is UTF-8', () => {
  const read = readStartup(startup({ user: 'jürgen' }))
  assert.ok(read.kind === 'startup' && read.database === 'jürgen')
  const empty = readStartup(startup({ user: 'anna', database: '' }))
  assert.ok(empty.kind === 'startup' && empty.database === 'anna')
})

test('newer minor versions of protocol 3 are read', () => {
  assert.equal(kindOf(startup({ user: 'a' }, PROTOCOL + 2)), 'startup')
})

test('requests for encryption and cancel', () => {
  assert.deepEqual(readStartup(sslRequest), { kind: 'encryption', wants: 'tls', length: 8 })
  assert.deepEqual(readStartup(gssRequest), { kind: 'encryption', wants: 'gssapi', length: 8 })
  assert.deepEqual(readStartup(cancelRequest), { kind: 'cancel', processId: 4711 })
  // Keys are longer from protocol 3.2 on.
  const long = packet(80_877_102, Buffer.from('00001267', 'hex'), Buffer.alloc(32))
  assert.deepEqual(readStartup(long), { kind: 'cancel', processId: 4711 })
})

test('every prefix wants more', () => {
  for (const bytes of [sslRequest, cancelRequest, startup({ user: 'anna', database: 'x' })]) {
    for (let end = 0; end < bytes.length; end++) {
      assert.equal(kindOf(bytes.subarray(0, end)), 'more', `${end} bytes`)
    }
    assert.notEqual(kindOf(Buffer.concat([bytes, Buffer.from('more')])), 'more')
  }
})

const parameters = (text: string) => packet(PROTOCOL, Buffer.from(text))
const wrong: Record<string, Uint8Array> = {
  'a packet of 7 bytes': Buffer.from('00000007', 'hex'),
  'a packet that is too long': Buffer.from((MAX_STARTUP + 1).toString(16).padStart(8, '0'), 'hex'),
  'a negative length': Buffer.from('ffffffff', 'hex'),
  'protocol 2': Buffer.from('0000002000020000', 'hex'),
  'TLS without asking': Buffer.from('160301020001000000', 'hex'),
  'an HTTP request': Buffer.from('GET / HTTP/1.1\r\n'),
  'an encryption request with something in it': packet(80_877_103, Buffer.alloc(4)),
  'a cancel request without a key': packet(80_877_102, Buffer.alloc(4)),
  'no parameters': packet(PROTOCOL),
  'no end': parameters('user\0anna\0'),
  'a name without a value': parameters('user\0anna\0database\0'),
  'a value without an end': parameters('user\0anna'),
  'bytes behind the end': parameters('user\0anna\0\0x'),
  'no user': parameters('database\0orders\0\0'),
  'an empty user': parameters('user\0\0database\0orders\0\0'),
}
for (const [what, bytes] of Object.entries(wrong)) {
  test(`wrong: ${what}`, () => assert.equal(kindOf(bytes), 'invalid'))
}

test('no bytes make it throw', () => {
  const body = fc.uint8Array({ maxLength: 64 })
  const property = fc.property(fc.nat(80), body, (length, content) => {
    const bytes = Buffer.concat([packet(PROTOCOL), content])
    bytes.writeInt32BE(length, 0)
    assert.ok(['more', 'startup', 'invalid'].includes(kindOf(bytes)))
  })
  fc.assert(property, { numRuns: 2_000 })
})

test('an error has the fields of PostgreSQL', () => {
  const bytes = Buffer.from(errorResponse('3D000', 'database "ü" does not exist'))
  assert.equal(bytes.toString('latin1', 0, 1), 'E')
  assert.equal(bytes.readInt32BE(1), bytes.length - 1)
  assert.deepEqual(errorFields(bytes.subarray(5)), {
    S: 'FATAL',
    V: 'FATAL',
    C: '3D000',
    M: 'database "ü" does not exist',
  })
})
