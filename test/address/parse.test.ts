import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseAddress, parseIp, parseIpInto } from '#sluice/address/parse.js'
import { naiveBytes } from './naive-address.js'

function bytesOf(text: string): number[] | undefined {
  const words = new Uint32Array(4)
  const family = parseAddress(text, words)
  if (family === 0) return undefined
  const used = [...words.subarray(0, family === 4 ? 1 : 4)]
  return used.flatMap((word) => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255])
}

/** Text that is nearly an address, so that every rule of the syntax is met. */
const nearlyAddress = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc
    .array(
      fc.constantFrom('0', '1', 'f', '25', '255', '256', '.', ':', '::', 'abcd', 'ffff', '01'),
      {
        maxLength: 17,
      },
    )
    .map((parts) => parts.join('')),
  fc
    .tuple(fc.ipV6(), fc.nat(40), fc.constantFrom('', ':', '.', '0', 'g', '::'))
    .map(([text, at, extra]) => text.slice(0, at) + extra + text.slice(at + 1)),
)

test('accepts exactly what net.isIP accepts', () => {
  fc.assert(
    fc.property(nearlyAddress, (text) => {
      assert.equal(bytesOf(text) !== undefined, isIP(text) !== 0, text)
    }),
    { numRuns: 5000 },
  )
})

test('reads the bytes that another parser reads', () => {
  const scoped = fc.ipV6().map((ip) => `${ip}%eth0`)
  const mapped = fc.ipV4().map((ip) => `::ffff:${ip}`)
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), scoped, mapped), (text) => {
      const bytes = naiveBytes(text)
      assert.deepEqual(bytesOf(text), bytes)
      assert.deepEqual([...(parseIp(text) ?? [])], bytes)
      const words = new Int32Array(6).fill(-1)
      assert.equal(parseIpInto(text, words, 1), bytes.length === 4 ? 4 : 6)
      const zeros = new Array<number>(16 - bytes.length).fill(0)
      assert.deepEqual([...new Uint8Array(words.buffer, 4, 16)], [...bytes, ...zeros])
      assert.deepEqual([words[0], words[5]], [-1, -1], 'nothing around it')
    }),
    { numRuns: 3000 },
  )
})

test('edge cases of the syntax', () => {
  assert.deepEqual(bytesOf('255.255.255.255'), [255, 255, 255, 255])
  assert.deepEqual(bytesOf('::ffff:1.2.3.4'), [1, 2, 3, 4])
  assert.deepEqual(bytesOf('::FFFF:0102:304'), [1, 2, 3, 4])
  assert.deepEqual(bytesOf('fe80::1%eth0'), [0xfe, 0x80, ...new Array(13).fill(0), 1])
  assert.deepEqual(bytesOf('::'), new Array(16).fill(0))
  assert.deepEqual(bytesOf('1:2:3:4:5:6:7::'), [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 0])
  for (const text of [
    '',
    ':',
    ':::',
    '1',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.04',
    '1.2.3.256',
    '1:2',
    'x',
  ]) {
    assert.equal(bytesOf(text), undefined, text)
  }
  for (const text of [
    '1::2::3',
    '1.2.3.4::',
    '::1.2.3',
    ':1::',
    '1:',
    '::12345',
    'fe80::1%',
    ' 1.2.3.4',
  ]) {
    assert.equal(bytesOf(text), undefined, text)
  }
})
