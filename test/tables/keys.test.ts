import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { TableKeyType } from '#sluice/config/types.js'
import { StickTable, type TableKey } from '#sluice/tables/stick-table.js'
import { ManualClock } from './clock.js'
import { storeNothing, tableConfig } from './table-config.js'

function table(key: TableKeyType, keyLength = 32): StickTable {
  return new StickTable(tableConfig({ key, keyLength, store: storeNothing }), new ManualClock())
}

function kept(key: TableKeyType, value: TableKey, keyLength?: number): string | number | undefined {
  const t = table(key, keyLength)
  const entry = t.track(value)
  return entry === undefined ? undefined : t.keyOf(entry)
}

const bytes = (text: string) => Uint8Array.from(Buffer.from(text))
const mapped = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 1, 2, 3])

test('ip takes every form of an IPv4 address and nothing else', () => {
  for (const key of ['10.1.2.3', '::ffff:10.1.2.3', 0x0a010203, mapped, mapped.subarray(12)]) {
    assert.equal(kept('ip', key), '10.1.2.3')
  }
  assert.equal(kept('ip', '255.255.255.255'), '255.255.255.255')
  for (const key of [
    '',
    '::1',
    'host',
    '10.1.2',
    -1,
    0.5,
    2 ** 32,
    NaN,
    bytes('abc'),
    new Uint8Array(16),
  ]) {
    assert.equal(kept('ip', key), undefined, String(key))
  }
})

test('ipv6 takes both families, IPv4 as mapped', () => {
  assert.equal(kept('ipv6', '2001:DB8::0:1'), '2001:db8::1')
  assert.equal(kept('ipv6', '::'), '::')
  assert.equal(kept('ipv6', new Uint8Array(16).fill(1)), '101:101:101:101:101:101:101:101')
  const t = table('ipv6')
  const entry = t.track('10.1.2.3')
  for (const key of ['::ffff:10.1.2.3', mapped, mapped.subarray(12)])
    assert.equal(t.track(key), entry)
  assert.equal(t.keyOf(entry!), '10.1.2.3')
  for (const key of ['', 'x', 1, new Uint8Array(5)]) assert.equal(kept('ipv6', key), undefined)
})

test('integer takes 32 unsigned bits', () => {
  for (const key of [0, 1, 0xffff_ffff]) assert.equal(kept('integer', key), key)
  assert.equal(kept('integer', '4294967295'), 0xffff_ffff)
  for (const key of ['', '01', '4294967296', '1e3', -1, 1.5, NaN, 2 ** 32, bytes('1')]) {
    assert.equal(kept('integer', key), undefined, String(key))
  }
})

test('string is cut to keyLength bytes, at a character', () => {
  assert.equal(kept('string', 'abcdefgh', 5), 'abcde')
  assert.equal(kept('string', 'aé€😀', 5), 'aé')
  assert.equal(kept('string', 'aé€😀', 6), 'aé€')
  assert.equal(kept('string', 42), '42')
  assert.equal(kept('string', bytes('host')), 'host')
  assert.equal(kept('string', ''), undefined)
  const t = table('string', 4)
  assert.equal(t.track('abcdX'), t.track('abcdY'))
  assert.notEqual(t.track('abc'), t.track('abc\0'))
})

test('binary keeps bytes and shows them in hexadecimal', () => {
  assert.equal(kept('binary', Uint8Array.of(0, 255, 16)), '00ff10')
  assert.equal(kept('binary', Uint8Array.of(1, 2, 3, 4, 5), 4), '01020304')
  assert.equal(kept('binary', 'é'), 'c3a9')
  assert.equal(kept('binary', 7), undefined)
  assert.equal(kept('binary', new Uint8Array(0)), undefined)
  const t = table('binary')
  assert.notEqual(t.track(Uint8Array.of(1)), t.track(Uint8Array.of(1, 0)))
})

test('keys are the same entry exactly where the bytes kept are the same', () => {
  const cut = (text: string, limit: number) => {
    let length = 0
    let end = 0
    for (const character of text) {
      length += Buffer.byteLength(character)
      if (length > limit) break
      end += character.length
    }
    return Buffer.from(text.slice(0, end)).toString()
  }
  const words = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(
      fc.array(words, { maxLength: 40 }),
      fc.integer({ min: 4, max: 9 }),
      (keys, limit) => {
        const t = new StickTable(
          tableConfig({ key: 'string', keyLength: limit, store: storeNothing }),
          new ManualClock(),
        )
        const seen = new Map<string, number | undefined>()
        for (const key of keys) {
          const short = cut(key, limit)
          if (short === '') continue
          const entry = t.track(key)!
          assert.equal(t.keyOf(entry), short)
          if (seen.has(short)) assert.equal(entry, seen.get(short))
          else assert.ok(![...seen.values()].includes(entry))
          seen.set(short, entry)
        }
        assert.equal(t.entries, seen.size)
      },
    ),
  )
})
