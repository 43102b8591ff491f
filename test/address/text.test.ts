/** Names and spellings: what is the same address, and which entry of a table a name has. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { byName, isHostName, normalName, wildcardOf } from '#sluice/address/host-name.js'
import { normalIp } from '#sluice/address/text.js'

test('an address has one spelling, with its scope', () => {
  const spellings: [string, string | undefined][] = [
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:0a00:0001', '10.0.0.1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['2001:DB8::0:1', '2001:db8::1'],
    ['fe80:0::1%eth0', 'fe80::1%eth0'],
    ['localhost', undefined],
    ['', undefined],
  ]
  for (const [written, expected] of spellings) assert.equal(normalIp(written), expected, written)
})

test('the wildcard of a name stands for its first label', () => {
  assert.equal(wildcardOf('a.b.example'), '*.b.example')
  assert.equal(wildcardOf('localhost'), undefined)
  assert.equal(wildcardOf('.example'), undefined)
  assert.equal(wildcardOf(''), undefined)
})

test('a name is looked up exactly, then with one label as *, then as *', () => {
  const table = new Map([
    ['a.example', 1],
    ['*.example', 2],
    ['*', 3],
  ])
  assert.equal(byName(table, 'a.example'), 1)
  assert.equal(byName(table, 'b.example'), 2)
  assert.equal(byName(table, 'b.c.example'), 3)
  assert.equal(byName(table, 'localhost'), 3)
  assert.equal(byName(table, ''), 3)
  table.delete('*')
  assert.equal(byName(table, 'b.c.example'), undefined)
})

test('labels of host names', () => {
  const label = 'a'.repeat(63)
  const longest = `${label}.${label}.${label}.${'a'.repeat(61)}`
  for (const name of ['a', '_sip._tcp.example', 'a-b.0', 'xn--a', label, longest])
    assert.ok(isHostName(name), name)
  for (const name of [
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    '-a',
    'a-',
    'a b',
    'ä',
    `${label}a`,
    `${longest}a`,
  ])
    assert.ok(!isHostName(name), name)
  assert.equal(normalName('Shop.Example.'), 'shop.example')
})
