import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { pino } from 'pino'
import { escapeJsonLine, escapeLines, escapeText } from '#sluice/log/escape.js'
import { formatRecord, type LogFields } from '#sluice/log/format.js'
import { sessionFields } from './session-fields.js'

const plain = { colours: false, date: false }

const session = {
  level: 30,
  time: new Date(2026, 0, 1, 12, 34, 56).getTime(),
  msg: 'session ended',
  ...sessionFields,
}

test('records as text', () => {
  assert.equal(
    formatRecord(session, plain),
    '12:34:56 127.0.0.1:4711 web > app/a  12 ms  in 78 B out 2 kB  server/data/done',
  )
  const rejected = {
    ...session,
    src: '',
    backend: undefined,
    server: undefined,
    rule: 'tooFast',
    level: 40,
    tls: { serverName: 'a.example' },
  }
  assert.equal(
    formatRecord(rejected, plain),
    '12:34:56 WARN unix web  12 ms  in 78 B out 2 kB  server/data/done  rule tooFast  name a.example',
  )
  const refused = {
    ...session,
    by: 'server',
    phase: 'connect',
    code: 'refused',
    error: 'ECONNREFUSED',
    attempts: [
      { server: 'b', code: 'connect-timeout' },
      { server: 'a', code: 'refused' },
    ],
  }
  assert.equal(
    formatRecord(refused, plain),
    '12:34:56 127.0.0.1:4711 web > app/a  12 ms  in 78 B out 2 kB  server/connect/refused (ECONNREFUSED)  failed b:connect-timeout a:refused',
  )
  const { time } = session
  assert.equal(
    formatRecord({ level: 40, time, msg: 'server is down', server: 'a', last: { code: 1 } }, plain),
    '12:34:56 WARN server is down server=a last={"code":1}',
  )
  assert.equal(
    formatRecord({ level: 40, time, msg: 'it failed: no', err: { message: 'no' } }, plain),
    '12:34:56 WARN it failed: no',
  )
  assert.equal(
    formatRecord({ level: 40, time, msg: 'it failed', err: { message: 'no\nmore' } }, plain),
    '12:34:56 WARN it failed: no',
  )
})

test('an error has its stack, and its message cannot look like frames', () => {
  const error = new Error('no\n    at forged (file:1:1)\n12:00:00 forged')
  error.stack = `Error: ${error.message}\n    at x (a.js:1:2)\n    at y (b.js:3:4)`
  const { time } = session
  const err = { type: 'Error', message: error.message, stack: error.stack }
  assert.equal(
    formatRecord({ level: 50, time, msg: 'rule x failed', err }, plain),
    [
      '12:34:56 ERROR rule x failed',
      '  Error: no\\n    at forged (file:1:1)\\n12:00:00 forged',
      '    at x (a.js:1:2)',
      '    at y (b.js:3:4)',
    ].join('\n'),
  )
})

test('with colours and with the date', () => {
  const line = { level: 50, time: Date.UTC(2026, 0, 2, 3, 4, 5, 6), msg: 'x' }
  assert.equal(
    formatRecord(line, { colours: true, date: true }),
    '\x1b[2m2026-01-02T03:04:05.006Z\x1b[0m \x1b[31mERROR\x1b[0m x',
  )
})

/** What a terminal acts on, or what turns the order of text around. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const DANGEROUS = /[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/

const nasty = fc.string({
  unit: fc.oneof(
    fc.constantFrom('\n', '\r', '\x1b', '\x9b', '\0', '\x7f', '\u202e', '\u2028', '"', '\\', ' '),
    fc.string({ minLength: 1, maxLength: 1, unit: 'binary' }),
  ),
})

test('whatever others send, a record is one line without control characters', () => {
  fc.assert(
    fc.property(nasty, nasty, nasty, fc.boolean(), (key, value, msg, asSession) => {
      const fields: LogFields = {
        ...(asSession ? session : { level: 30, time: 0 }),
        msg,
        src: value,
        rule: value,
        frontend: value,
        server: value,
        tls: { serverName: value },
        attempts: [{ server: value, code: value }],
        nested: { [key]: [value] },
        [`x${key}`]: value,
      }
      const line = formatRecord(fields, plain)
      assert.doesNotMatch(line, DANGEROUS)
      assert.ok(!line.includes('\n'), line)
    }),
  )
})

test('a value cannot pass for another field', () => {
  const line = formatRecord({ level: 30, time: 0, msg: 'm', a: '1 b=2', 'c d': '3' }, plain)
  assert.match(line, / m a="1 b=2" "c d"=3$/)
})

test('JSON lines mean the same and have no control characters', () => {
  fc.assert(
    fc.property(nasty, (text) => {
      let line = ''
      const logger = pino(
        { base: null },
        {
          write(written: string) {
            line = written
          },
        },
      )
      logger.info({ text, [text]: 1 }, 'x')
      const escaped = escapeJsonLine(line)
      assert.deepEqual(JSON.parse(escaped), JSON.parse(line))
      assert.doesNotMatch(escaped.trimEnd(), DANGEROUS)
      assert.ok(escaped.endsWith('\n'))
    }),
  )
})

test('escapes', () => {
  assert.equal(escapeText('a\n\r\t\x1b\x9b\u202eé😀'), 'a\\n\\r\\t\\x1b\\x9b\\u202eé😀')
  assert.equal(escapeText('\ud83d!'), '\\ud83d!')
  assert.equal(escapeText('!\ude00'), '!\\ude00')
  assert.equal(escapeLines('a\n\x1bb'), 'a\n\\x1bb')
})
