import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KeyType } from '#sluice/tls/certificates.js'
import { NameTable } from '#sluice/tls/names.js'

const certificate = (id: string, keyType: KeyType, ...names: string[]) => ({ id, keyType, names })
type Named = ReturnType<typeof certificate>
const ids = (group: readonly Named[] | undefined) => group?.map(({ id }) => id)

test('exact names and one label of wildcards', () => {
  const table = new NameTable([
    certificate('a', 'rsa', 'a.example', '*.example'),
    certificate('b', 'rsa', 'b.a.example'),
  ])
  assert.deepEqual(ids(table.exact('a.example')), ['a'])
  assert.equal(table.exact('c.example'), undefined)
  assert.deepEqual(ids(table.wildcard('c.example')), ['a'])
  assert.equal(table.wildcard('c.a.example'), undefined, 'two labels')
  assert.equal(table.wildcard('example'), undefined)
  assert.equal(table.wildcard('.example'), undefined, 'no label')
  assert.equal(table.wildcard(''), undefined)
  assert.equal(table.exact(''), undefined)
  assert.deepEqual(ids(table.exact('b.a.example')), ['b'])
})

test('one of each key type for a name, ECDSA first, whatever their order', () => {
  const table = new NameTable([
    certificate('rsa', 'rsa', 'x', 'only-rsa'),
    certificate('ed', 'ed25519', 'x'),
    certificate('ec', 'ecdsa', 'x'),
    certificate('ec2', 'ecdsa', 'x', 'only-ec2'),
  ])
  assert.deepEqual(ids(table.exact('x')), ['ec', 'ed', 'rsa'])
  assert.deepEqual(ids(table.exact('only-rsa')), ['rsa'])
  assert.deepEqual(ids(table.exact('only-ec2')), ['ec2'])
})

test('the first certificate is the fallback, with those of its name', () => {
  const table = new NameTable([
    certificate('rsa', 'rsa', 'x'),
    certificate('other', 'rsa', 'y'),
    certificate('ec', 'ecdsa', 'x'),
  ])
  assert.deepEqual(ids(table.fallback), ['ec', 'rsa'])
  assert.equal(table.fallback, table.exact('x'))
  assert.deepEqual(ids(new NameTable([certificate('nameless', 'rsa')]).fallback), ['nameless'])
  assert.equal(new NameTable([]).fallback, undefined)
})

test('equal groups are one, so that they share a context', () => {
  const table = new NameTable([
    certificate('rsa', 'rsa', 'x', 'y', '*.z'),
    certificate('ec', 'ecdsa', 'x', 'y', '*.z'),
    certificate('nameless', 'rsa'),
  ])
  assert.equal(table.exact('x'), table.exact('y'))
  assert.equal(table.exact('x'), table.wildcard('a.z'))
  assert.equal(table.groups.length, 1, 'a certificate without a name is for nobody')
})
