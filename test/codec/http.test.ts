/** The codec of HTTP/1.1 with the vectors of its Rust twin, in pieces of every size, and its edits. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  Bad,
  type Body,
  badStatus,
  CHUNK_LIMITS,
  Chunks,
  checkEdit,
  type Edit,
  type EditError,
  EditRefused,
  formatRequest,
  formatResponse,
  HEAD_LIMITS,
  HeadScan,
  HeadTooLong,
  parseRequest,
  parseResponse,
  type Stamp,
} from '#sluice/codec/http.js'
import { HttpBadLabels, HttpName } from '#sluice/wire/wire.js'
import { type Expected, type HttpVector, statuses, toEscaped, vectors } from './http-vectors.js'

/** What a vector's bytes mean; `step` of them come at a time. */
function meaning(vector: HttpVector, step = Number.POSITIVE_INFINITY): Expected {
  try {
    if (vector.kind === 'chunks') return chunks(vector.bytes, step)
    const head = whole(vector.bytes, step)
    return vector.kind === 'request' ? request(head) : response(head, vector)
  } catch (error) {
    if (!(error instanceof Bad)) throw error
    return { refused: `${HttpBadLabels[error.code]} ${error.at}` }
  }
}

/** The head in bytes that come in pieces. */
function whole(bytes: Buffer, step: number): Buffer {
  const scan = new HeadScan(HEAD_LIMITS)
  for (let length = 0; length < bytes.length; ) {
    length = Math.min(length + step, bytes.length)
    const end = scan.scan(bytes.subarray(0, length))
    if (end !== undefined) return bytes.subarray(scan.start, end)
  }
  throw new Error('the head has no end')
}

function request(head: Buffer): Expected {
  const found = parseRequest(head, HEAD_LIMITS)
  const { method, form, version, path, query, host, port, body } = found
  const { keepAlive, upgrade, expects, trailers } = found
  const facts = [
    method,
    form,
    version,
    `path=${word(path)}`,
    ...(query === undefined ? [] : [`query=${word(query)}`]),
    `host=${word(host)}`,
    ...(port === 0 ? [] : [`port=${port}`]),
    bodyText(body),
    ...(keepAlive ? [] : ['close']),
    ...(upgrade ? ['upgrade'] : []),
    ...(expects ? ['expects'] : []),
    ...(trailers ? ['trailers'] : []),
  ]
  const out = formatRequest(head, found, { body, upgrade, trailers, expects, host: 'server' })
  return { facts: facts.join(' '), out: toEscaped(out) }
}

function response(head: Buffer, { asked }: HttpVector): Expected {
  const found = parseResponse(head, asked, HEAD_LIMITS)
  const { status, version, reason, body, length, keepAlive, interim } = found
  const facts = [
    status,
    version,
    `reason=${word(reason)}`,
    bodyText(body),
    ...(length === undefined ? [] : [`length=${length}`]),
    ...(keepAlive ? [] : ['close']),
    ...(interim ? ['interim'] : []),
  ]
  const close = !keepAlive && body.kind !== 'tunnel'
  const out = formatResponse(head, found, { body, close, upgrade: status === 101, length })
  return { facts: facts.join(' '), out: toEscaped(out) }
}

function chunks(bytes: Buffer, step: number): Expected {
  const state = new Chunks(CHUNK_LIMITS)
  const data: Buffer[] = []
  let out = ''
  let trailers = 0
  let at = 0
  for (let length = 0; length < bytes.length; ) {
    length = Math.min(length + step, bytes.length)
    for (;;) {
      const rest = bytes.subarray(at, length)
      const piece = state.next(rest)
      if (piece === undefined) break
      const taken = rest.subarray(0, piece.len)
      at += piece.len
      if (piece.kind === 'size' && !piece.plain) out += `${piece.size.toString(16)}\\r\\n`
      else if (piece.kind === 'trailers') out += '\\r\\n'
      else out += toEscaped(taken)
      if (piece.kind === 'data') data.push(taken)
      if (piece.kind === 'trailers') trailers = piece.len
    }
  }
  if (!state.done) throw new Error('the body has no end')
  const text = word(Buffer.concat(data).toString('latin1'))
  return { facts: `${text === '' ? '-' : text} ${trailers}`, out }
}

function word(text: string): string {
  return toEscaped(Buffer.from(text, 'latin1')).replaceAll(' ', '\\x20')
}

function bodyText(body: Body): string {
  return body.kind === 'length' ? `length=${body.length}` : body.kind
}

for (const vector of vectors) {
  test(`${vector.kind} ${vector.name}`, () => {
    assert.deepEqual(meaning(vector), vector.expected)
    for (let step = 1; step < vector.bytes.length; step++) {
      assert.deepEqual(meaning(vector, step), vector.expected, `in pieces of ${step}`)
    }
  })
}

test('each refusal has its status', () => {
  const codes = HttpBadLabels.slice(1).map((label, i) => [label, badStatus[i + 1]])
  assert.deepEqual(codes, statuses)
})

const head = Buffer.from(
  'GET /a?b HTTP/1.1\r\nHost: h\r\nA: 1\r\nX-Seen: no\r\nB: 2\r\nx-seen: neither\r\nC: 3\r\n\r\n',
)

function edited(edits: Edit[], stamps: Stamp[] = [], bytes = head, most = 65_536): string {
  for (const edit of edits) assert.equal(checkEdit(edit), undefined)
  const to = { body: { kind: 'none' }, edits, stamps, most } as const
  return toEscaped(formatRequest(bytes, parseRequest(bytes, HEAD_LIMITS), to))
}

test('fields are removed, replaced and added around those that stay', () => {
  assert.equal(
    edited([
      { kind: 'remove-all', name: 'X-SEEN' },
      { kind: 'add', name: 'x-seen', value: '1' },
    ]),
    String.raw`GET /a?b HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\nx-seen: 1\r\n\r\n`,
  )
  assert.equal(
    edited([
      { kind: 'replace', index: 2, value: 'yes' },
      { kind: 'remove', index: 4 },
    ]),
    String.raw`GET /a?b HTTP/1.1\r\nHost: h\r\nA: 1\r\nX-Seen: yes\r\nB: 2\r\nC: 3\r\n\r\n`,
  )
})

test('method, path, query and host are edits of their own', () => {
  const out = edited([
    { kind: 'method', text: 'POST' },
    { kind: 'path', text: '/x/y' },
    { kind: 'query', text: 'z=1' },
    { kind: 'host', text: 'other:81' },
  ])
  assert.ok(out.startsWith(String.raw`POST /x/y?z=1 HTTP/1.1\r\nHost: other:81\r\nA: 1`), out)
  assert.ok(edited([{ kind: 'query', text: undefined }]).startsWith('GET /a HTTP/1.1'))
})

test('what frames a message is nobody’s to edit', () => {
  const bytes = Buffer.from(
    'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: x\r\nX: 1\r\nExpect: 100-continue\r\n\r\n',
  )
  for (const index of [0, 1, 2, 3, 4, 5]) {
    const error: EditError = index === 5 ? 'index' : 'reserved'
    for (const edit of [
      { kind: 'remove', index },
      { kind: 'replace', index, value: '3' },
    ] as const) {
      assert.throws(
        () => edited([edit], [], bytes),
        (thrown) => thrown instanceof EditRefused && thrown.error === error,
      )
    }
  }
})

const reserved =
  'content-length Transfer-Encoding CONNECTION upgrade te trailer keep-alive expect proxy-connection http2-settings host'

test('no edit splits a message, and none names what is reserved', () => {
  const wrong: [Edit, EditError][] = reserved.split(' ').flatMap((name): [Edit, EditError][] => [
    [{ kind: 'add', name, value: '3' }, 'reserved'],
    [{ kind: 'remove-all', name }, 'reserved'],
  ])
  for (const bad of [
    'a\r\nX: y',
    'a\nb',
    'a\rb',
    'a\0b',
    'a\x7fb',
    '\x01',
    'a\u{10d}b',
    'a\u{1f600}',
  ]) {
    wrong.push(
      [{ kind: 'add', name: 'x', value: bad }, 'value'],
      [{ kind: 'add', name: bad, value: 'x' }, 'name'],
      [{ kind: 'remove-all', name: bad }, 'name'],
      [{ kind: 'replace', index: 1, value: bad }, 'value'],
      [{ kind: 'reason', text: bad }, 'value'],
      [{ kind: 'method', text: bad }, 'method'],
      [{ kind: 'path', text: `/${bad}` }, 'path'],
      [{ kind: 'query', text: bad }, 'query'],
      [{ kind: 'host', text: bad }, 'host'],
    )
  }
  wrong.push(
    [{ kind: 'add', name: '', value: 'x' }, 'name'],
    [{ kind: 'add', name: 'n'.repeat(256), value: 'x' }, 'name'],
    [{ kind: 'method', text: '' }, 'method'],
    [{ kind: 'method', text: 'CONNECT' }, 'method'],
    [{ kind: 'path', text: 'x' }, 'path'],
    [{ kind: 'path', text: '/a?b' }, 'path'],
    [{ kind: 'path', text: '/a#b' }, 'path'],
    [{ kind: 'host', text: '' }, 'host'],
    [{ kind: 'status', status: 204 }, 'status'],
    [{ kind: 'status', status: 199 }, 'status'],
    [{ kind: 'status', status: 1000 }, 'status'],
    [{ kind: 'status', status: 200.5 }, 'status'],
  )
  for (const [edit, error] of wrong) assert.equal(checkEdit(edit), error, JSON.stringify(edit))
})

test('stamps are appended, replaced, kept and removed', () => {
  const bytes = Buffer.from(
    'GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\nVia: 1.0 a\r\nX-Real-IP: 9\r\n\r\n',
  )
  const { FORWARDED_FOR, FORWARDED_HOST, VIA, REQUEST_ID, REAL_IP } = {
    FORWARDED_FOR: HttpName.X_FORWARDED_FOR,
    FORWARDED_HOST: HttpName.X_FORWARDED_HOST,
    VIA: HttpName.VIA,
    REQUEST_ID: HttpName.X_REQUEST_ID,
    REAL_IP: HttpName.X_REAL_IP,
  }
  const stamp = (mode: Stamp['mode'], name: number): Stamp => ({ mode, name, value: '3.3.3.3' })
  const tail = (stamps: Stamp[], edits: Edit[] = []) =>
    edited(edits, stamps, bytes).replace(String.raw`GET / HTTP/1.1\r\nHost: h\r\n`, '')
  assert.equal(
    tail([stamp('append', FORWARDED_FOR), stamp('append', FORWARDED_HOST)]),
    String.raw`X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2, 3.3.3.3\r\nVia: 1.0 a\r\nX-Real-IP: 9\r\nx-forwarded-host: 3.3.3.3\r\n\r\n`,
  )
  assert.equal(
    tail([stamp('replace', FORWARDED_FOR), stamp('keep', VIA), stamp('keep', REQUEST_ID)]),
    String.raw`Via: 1.0 a\r\nX-Real-IP: 9\r\nx-forwarded-for: 3.3.3.3\r\nx-request-id: 3.3.3.3\r\n\r\n`,
  )
  assert.equal(
    tail([stamp('remove', FORWARDED_FOR), stamp('remove', REAL_IP)]),
    String.raw`Via: 1.0 a\r\n\r\n`,
  )
  // What policy set is not added to: the stamp stands behind it.
  assert.equal(
    tail(
      [stamp('append', VIA), stamp('remove', FORWARDED_FOR)],
      [{ kind: 'replace', index: 3, value: 'mine' }],
    ),
    String.raw`Via: mine\r\nX-Real-IP: 9\r\nvia: 3.3.3.3\r\n\r\n`,
  )
})

test('a response takes the client’s version', () => {
  const bytes = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: s\r\n\r\n')
  const found = parseResponse(bytes, 'plain', HEAD_LIMITS)
  const out = formatResponse(bytes, found, {
    body: found.body,
    version: '1.0',
    edits: [
      { kind: 'status', status: 404 },
      { kind: 'remove-all', name: 'server' },
      { kind: 'add', name: 'x', value: '1' },
    ],
  })
  const expected = String.raw`HTTP/1.0 404 \r\nx: 1\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n`
  assert.equal(toEscaped(out), expected)
})

test('what goes out is bounded', () => {
  const edit: Edit = { kind: 'add', name: 'x', value: 'v'.repeat(1000) }
  let length = 0
  assert.throws(
    () => edited([edit], [], head, 1000),
    (error) => {
      length = error instanceof HeadTooLong ? error.length : 0
      return length > 1000
    },
  )
  assert.doesNotThrow(() => edited([edit], [], head, length))
  assert.throws(() => edited([edit], [], head, length - 1), HeadTooLong)
})

test('limits, each at its last byte and behind it', () => {
  const size = (text: string) => {
    try {
      return new Chunks({ line: 16, trailers: 32 }).next(Buffer.from(text))?.kind
    } catch (error) {
      return error instanceof Bad ? HttpBadLabels[error.code] : error
    }
  }
  assert.equal(size(`5;${'x'.repeat(14)}\r\n`), 'size')
  assert.equal(size(`5;${'x'.repeat(15)}\r\n`), 'chunk-long')
  assert.equal(size(`5;${'x'.repeat(15)}`), 'chunk-long')
  // What is wrong behind the limit is nobody's to see.
  assert.equal(size(`5;${'x'.repeat(15)}\n`), 'chunk-long')
  assert.equal(size('0'.repeat(17)), 'chunk-long')
  const scan = (text: string, limits: Partial<typeof HEAD_LIMITS>) => {
    try {
      return new HeadScan({ ...HEAD_LIMITS, ...limits }).scan(Buffer.from(text))
    } catch (error) {
      return error instanceof Bad ? HttpBadLabels[error.code] : error
    }
  }
  const line = (length: number) => `GET /${'x'.repeat(length - 14)} HTTP/1.1\r\n\r\n`
  assert.equal(scan(line(20), { line: 20 }), 24)
  assert.equal(scan(line(21), { line: 20 }), 'target-long')
  assert.equal(scan(line(21).slice(0, 20), { line: 20 }), undefined)
  assert.equal(scan(line(22).slice(0, 21), { line: 20 }), 'target-long')
  const long = (length: number) => `GET / HTTP/1.1\r\nA: ${'x'.repeat(length - 23)}\r\n\r\n`
  assert.equal(scan(long(100), { head: 100 }), 100)
  assert.equal(scan(long(101), { head: 100 }), 'head-long')
  const many = (count: number) => `GET / HTTP/1.1\r\nHost: h\r\n${'A: b\r\n'.repeat(count - 1)}\r\n`
  assert.equal(typeof scan(many(3), { fields: 3 }), 'number')
  assert.equal(scan(many(4), { fields: 3 }), 'fields')
  const parse = (text: string, limits: Partial<typeof HEAD_LIMITS>) => {
    try {
      return parseRequest(Buffer.from(text), { ...HEAD_LIMITS, ...limits }).fields.length
    } catch (error) {
      return error instanceof Bad ? HttpBadLabels[error.code] : error
    }
  }
  assert.equal(parse(many(3), { fields: 3 }), 3)
  assert.equal(parse(many(4), { fields: 3 }), 'fields')
  assert.equal(parse(many(256), { fields: 10_000 }), 256)
  assert.equal(parse(many(257), { fields: 10_000 }), 'fields')
  const named = (length: number) => `GET / HTTP/1.1\r\nHost: h\r\n${'n'.repeat(length)}: x\r\n\r\n`
  assert.equal(parse(named(255), {}), 2)
  assert.equal(parse(named(256), {}), 'field-name')
})
