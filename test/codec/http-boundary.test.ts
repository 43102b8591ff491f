/** What crosses between the engine and policy: facts of heads, programs of edits, headers over both. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import {
  checkEdit,
  type Edit,
  encodeProgram,
  formatRequest,
  HEAD_LIMITS,
  HeadFacts,
  HeadHeaders,
  HeadScan,
  ProgramTooLong,
  parseRequest,
  parseResponse,
} from '#sluice/codec/http.js'
import { HttpFlag, HttpMethod } from '#sluice/wire/wire.js'
import { fromEscaped, toEscaped, vectors } from './http-vectors.js'
import { readVectors } from './vectors.js'

const facts = new Map(readVectors('http-facts.txt').map(([name, hex]) => [name as string, hex]))

/** Aligned, as the event slab is. */
function aligned(hex: string): Uint8Array {
  const bytes = Buffer.from(hex, 'hex')
  const copy = new Uint8Array(new ArrayBuffer(bytes.length))
  copy.set(bytes)
  return copy
}

let number = 0
for (const vector of vectors) {
  if (vector.kind === 'chunks' || 'refused' in vector.expected) continue
  number++
  const expectedNumber = number
  test(`facts of ${vector.kind} ${vector.name}`, () => {
    const shown = new HeadFacts(aligned(facts.get(`${vector.kind}-${vector.name}`) as string))
    const scan = new HeadScan(HEAD_LIMITS)
    const end = scan.scan(vector.bytes)
    const head = vector.bytes.subarray(scan.start, end)
    assert.equal(shown.number, expectedNumber)
    for (const seen of [shown, shown.copy()]) {
      const { fields, body } =
        vector.kind === 'request' ? sameRequest(seen, head) : sameResponse(seen, head, vector.asked)
      assert.equal(seen.has(HttpFlag.CHUNKED), body.kind === 'chunked')
      assert.equal(seen.has(HttpFlag.UNTIL_CLOSE), body.kind === 'until-close')
      assert.equal(seen.count, fields.length)
      for (const [i, field] of fields.entries()) {
        assert.equal(seen.nameOf(i).toLowerCase(), field.name)
        assert.equal(seen.valueOf(i), field.value)
        assert.equal(seen.idOf(i), field.id)
        assert.equal(seen.isHop(i), field.hop)
        const places = fields.flatMap((each, at) =>
          each.name === field.name && !each.hop ? [at] : [],
        )
        assert.deepEqual(seen.placesOf(field.name), places, field.name)
      }
      assert.deepEqual(seen.placesOf('x-not-there'), [])
      assert.deepEqual(seen.placesOf('etag-not-there'), [])
    }
  })
}

function sameRequest(shown: HeadFacts, head: Buffer) {
  const found = parseRequest(head, HEAD_LIMITS)
  const { method, target, path, query, host, port, body, keepAlive, upgrade, expects } = found
  assert.deepEqual(
    [shown.method, shown.target, shown.path, shown.query, shown.host, shown.port],
    [method, target, path, query, host, port],
  )
  assert.equal(shown.length, body.kind === 'length' ? body.length : undefined)
  assert.equal(shown.has(HttpFlag.HTTP_1_0), found.version === '1.0')
  assert.equal(shown.has(HttpFlag.KEEP_ALIVE), keepAlive)
  assert.equal(shown.has(HttpFlag.UPGRADE), upgrade)
  assert.equal(shown.has(HttpFlag.EXPECTS), expects)
  assert.equal(shown.has(HttpFlag.TRAILERS), found.trailers)
  assert.equal(shown.has(HttpFlag.ABSOLUTE), found.form === 'absolute')
  assert.equal(shown.has(HttpFlag.AUTHORITY), found.form === 'authority')
  assert.equal(shown.has(HttpFlag.ASTERISK), found.form === 'asterisk')
  assert.equal(shown.methodId, (HttpMethod as Record<string, number>)[method] ?? 0)
  return found
}

function sameResponse(shown: HeadFacts, head: Buffer, asked: Parameters<typeof parseResponse>[1]) {
  const found = parseResponse(head, asked, HEAD_LIMITS)
  const { status, reason, length, keepAlive, body } = found
  assert.deepEqual(
    [shown.status, shown.reason, shown.length, shown.has(HttpFlag.KEEP_ALIVE)],
    [status, reason, length, keepAlive],
  )
  assert.equal(shown.has(HttpFlag.UPGRADE), body.kind === 'tunnel')
  return found
}

const lines = readFileSync(
  new URL('../../../test/vectors/http-programs.txt', import.meta.url),
  'utf8',
).split('\n')
const programHead = fromEscaped((lines.find((line) => line.startsWith('head ')) as string).slice(5))
const programs = lines.flatMap((line, i) =>
  line.startsWith('edits ')
    ? [{ json: line.slice(6), program: (lines[i + 1] as string).replace('program ', '') }]
    : [],
)

for (const { json, program } of programs) {
  test(`the program of ${json}`, () => {
    const edits = (JSON.parse(json) as Edit[]).map((edit) =>
      edit.kind === 'query' ? { kind: 'query' as const, text: edit.text ?? undefined } : edit,
    )
    for (const edit of edits) assert.equal(checkEdit(edit), undefined)
    const hex = Buffer.from(encodeProgram(edits)).toString('hex')
    const request = parseRequest(programHead, HEAD_LIMITS)
    const out = formatRequest(programHead, request, { body: { kind: 'none' }, edits })
    assert.equal(`${hex} ${toEscaped(out)}`, program)
  })
}

test('a program whose text is too long', () => {
  const value = 'v'.repeat(40_000)
  const edit: Edit = { kind: 'add', name: 'x', value }
  assert.doesNotThrow(() => encodeProgram([edit]))
  assert.throws(() => encodeProgram([edit, edit]), ProgramTooLong)
})

function headers(lines: string[]): { headers: HeadHeaders; out: () => string[] } {
  const head = Buffer.from(
    `GET / HTTP/1.1\r\nHost: h\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`,
    'latin1',
  )
  const request = parseRequest(head, HEAD_LIMITS)
  const made = new HeadHeaders(new HeadFacts(pack(head, request.fields)))
  const out = () => {
    const edits = made.edits()
    for (const edit of edits) assert.equal(checkEdit(edit), undefined)
    const text = formatRequest(head, request, { body: { kind: 'none' }, edits }).toString('latin1')
    return text.split('\r\n').slice(2, -2)
  }
  return { headers: made, out }
}

/** Facts with fields alone, as the engine packs them. */
function pack(head: Buffer, fields: ReturnType<typeof parseRequest>['fields']): Uint8Array {
  const words = [1, 0, 0, 0, 0, 0, 0, 0, 0, fields.length | (head.length << 16), 0, 0, 0]
  for (const { id, hop } of fields) {
    if (id > 0 && !hop)
      words[10 + (id >>> 5)] = (words[10 + (id >>> 5)] as number) | (1 << (id & 31))
  }
  for (const { line, name, id, hop } of fields) {
    const end = head.indexOf('\r\n', line)
    const text = head.toString('latin1', line + name.length + 1, end)
    const value = text.trim()
    const start = line + name.length + 1 + (text.length - text.trimStart().length)
    words.push(
      line | (name.length << 16) | ((id | (hop ? 128 : 0)) << 24),
      start | (value.length << 16),
    )
  }
  const bytes = new Uint8Array(new ArrayBuffer(words.length * 4 + head.length))
  new Int32Array(bytes.buffer, 0, words.length).set(words)
  bytes.set(head, words.length * 4)
  return bytes
}

test('headers are read like the standard’s', () => {
  const lines = [
    'B: 2',
    'a: 1',
    'A: 3',
    'Cookie: x=1',
    'cookie: y=2',
    'Set-Cookie: p',
    'Set-Cookie: q',
  ]
  const standard = new Headers()
  standard.append('host', 'h')
  for (const line of lines) {
    const [name = '', value = ''] = line.split(': ')
    standard.append(name, value)
  }
  const { headers: made } = headers([...lines, 'X: 9', 'Connection: x'])
  const cookie = (pairs: [string, string][]) =>
    pairs.map(([name, value]) => [name, value.replace('x=1, y', 'x=1; y')])
  assert.deepEqual([...made], cookie([...standard]))
  assert.deepEqual([...made.keys()], [...standard.keys()])
  assert.deepEqual(
    [...made.values()],
    cookie([...standard]).map(([, value]) => value),
  )
  assert.deepEqual(made.getSetCookie(), ['p', 'q'])
  assert.deepEqual(made.getAll('A'), ['1', '3'])
  assert.equal(made.get('A'), '1, 3')
  assert.equal(made.get('cookie'), 'x=1; y=2')
  assert.equal(made.get('nope'), null)
  assert.equal(made.has('b'), true)
  // Named by Connection: of this connection only.
  assert.equal(made.has('x'), false)
  assert.equal(made.has('connection'), false)
  const seen: string[] = []
  made.forEach((value, name) => void seen.push(`${name}=${value}`))
  assert.equal(seen[0], 'a=1, 3')
})

test('changes become as few edits as there are', () => {
  const lines = ['A: 1', 'B: 2', 'a: 3', 'C: 4']
  const none = headers(lines)
  none.headers.set('b', ' 2 ')
  assert.deepEqual(none.headers.edits(), [])
  assert.deepEqual(none.out(), lines)

  const { headers: made, out } = headers(lines)
  made.set('a', '9')
  made.append('b', '5')
  made.delete('c')
  made.delete('nope')
  made.set('new', 'x')
  made.append('new', 'y')
  assert.equal(made.get('a'), '9')
  assert.equal(made.get('b'), '2, 5')
  assert.equal(made.get('c'), null)
  assert.equal(made.get('new'), 'x, y')
  assert.deepEqual([...made.keys()], ['a', 'b', 'host', 'new'])
  assert.deepEqual(out(), ['A: 9', 'B: 2', 'b: 5', 'new: x', 'new: y'])
  made.delete('new')
  made.set('c', '4')
  assert.deepEqual(out(), ['A: 9', 'B: 2', 'C: 4', 'b: 5'])
})
