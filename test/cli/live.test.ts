import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SluiceError } from '#sluice/base/errors.js'
import { banner, formatAddresses, statusLine } from '#sluice/cli/banner.js'
import { describeError, ExitCode, exitCodeOf } from '#sluice/cli/exit.js'
import { formatCount, LiveMeter } from '#sluice/cli/live.js'
import { type Output, Terminal } from '#sluice/cli/terminal.js'
import { createTerminalLog } from '#sluice/cli/terminal-log.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import { formatBytes, wantsColours } from '#sluice/log/format.js'
import { useBackend } from '#sluice/policy.js'
import { sessionFields } from '../log/session-fields.js'

const frontend = (connections: number, bytes: number, ends: Record<string, number> = {}) => ({
  connections,
  bytesIn: bytes,
  bytesOut: bytes * 2,
  ends,
})

test('the live line shows what is open, rates, and why connections ended', () => {
  const meter = new LiveMeter({ connections: 0, frontends: {} }, 1000)
  const first = { a: frontend(10, 1024, { 'server/data/done': 4 }), b: frontend(10, 1024) }
  assert.equal(
    meter.next({ connections: 16, frontends: first }, 3000),
    '16 open  10 conn/s  in 1 kB/s  out 2 kB/s  ended 4 server/data/done',
  )
  assert.equal(
    meter.next({ connections: 16, frontends: first }, 4000),
    '16 open  0 conn/s  in 0 B/s  out 0 B/s',
  )
  const ends = { 'server/data/done': 5, 'a/b/c': 9, 'd/e/f': 3, 'g/h/i': 2, 'j/k/l': 2 }
  assert.equal(
    meter.next(
      { connections: 0, frontends: { a: frontend(25_410, 1024, ends), b: frontend(10, 1024) } },
      5000,
    ),
    '0 open  25.4 k conn/s  in 0 B/s  out 0 B/s  ended 9 a/b/c, 3 d/e/f, 2 g/h/i, 3 others',
  )
})

test('figures for a glance', () => {
  assert.deepEqual([0, 0.5, 42.31, 999, 999.6, 25_431, 2_000_000].map(formatCount), [
    '0',
    '0.5',
    '42.3',
    '999',
    '1 k',
    '25.4 k',
    '2000 k',
  ])
  assert.deepEqual([0, 999, 1000, 1536, 12 * 1024 ** 2, 3 * 1024 ** 5].map(formatBytes), [
    '0 B',
    '999 B',
    '0.977 kB',
    '1.5 kB',
    '12 MB',
    '3070 TB',
  ])
})

test('addresses: a run of ports is one range', () => {
  const v4 = (port: number) => ({ family: 'IPv4' as const, address: '127.0.0.1', port })
  assert.deepEqual(
    formatAddresses([
      v4(1),
      v4(2),
      v4(3),
      v4(5),
      { family: 'IPv6', address: '::1', port: 6 },
      { family: 'unix', address: '/a', port: 0 },
      { family: 'unix', address: '/b', port: 0 },
    ]),
    ['127.0.0.1:1-3', '127.0.0.1:5', '[::1]:6', 'unix:/a', 'unix:/b'],
  )
})

test('the banner says where each frontend leads, and the status of the service has them all', () => {
  const config = resolveConfig({
    frontends: {
      web: { bind: ':1', backend: 'app' },
      health: { bind: { address: ':2', health: true } },
      chosen: { bind: ':3', rules: { handshake: [useBackend('app')] } },
    },
    backends: { app: { servers: { a: '127.0.0.1:9' } } },
    log: { file: 'a.log' },
  })
  const at = (port: number) => [{ family: 'IPv4' as const, address: '0.0.0.0', port }]
  const addresses = { web: at(1), health: at(2), chosen: at(3) }
  const lines = banner({ engineKind: 'js', addresses } as never, config, 'a.ts', 'curl')
  const leads = [
    'web listens on 0.0.0.0:1 > app',
    'health listens on 0.0.0.0:2 > OK, for health checks',
    'chosen listens on 0.0.0.0:3 > by policy',
  ]
  assert.deepEqual(
    lines.slice(1, 4),
    leads.map((line) => `  ${line}`),
  )
  assert.equal(statusLine(lines), [lines[0], ...leads].join(', '))
  const many = Array.from({ length: 10 }, (_, i) => `  w${i} listens on :${i} > app`)
  assert.match(statusLine(['head', ...many]), /^head, w0 .* w7 listens on :7 > app, 2 more$/)
})

/** A stream that remembers. */
function output(isTTY: boolean, columns = 80): Output & { text: string } {
  return {
    text: '',
    isTTY,
    columns,
    write(text: string) {
      this.text += text
    },
  }
}

test('a terminal keeps the live line at the bottom', () => {
  const screen = output(true, 10)
  const terminal = new Terminal(screen, screen)
  terminal.line('banner')
  terminal.live('0123456789abc')
  terminal.logLine('log')
  terminal.live('')
  terminal.line('end')
  assert.equal(screen.text, 'banner\n\r\x1b[2K012345678\r\x1b[2Klog\n012345678\r\x1b[2Kend\n')
})

test('without a terminal, live lines are lines and the log is left alone', () => {
  const people = output(false)
  const log = output(false)
  const terminal = new Terminal(people, log)
  terminal.live('one')
  terminal.logLine('{}')
  terminal.live('')
  assert.deepEqual([people.text, log.text], ['one\n', '{}\n'])
})

test('a terminal gets a few lines of a kind in a second, and the number of the others', () => {
  const screen = output(true)
  const terminal = new Terminal(screen, screen)
  const logger = createTerminalLog({ level: 'info', format: 'pretty', colours: false }, terminal)
  const log = (level: 'info' | 'warn') => {
    for (let i = 0; i < 5000; i++) logger[level](sessionFields, 'session ended')
  }
  log('info')
  // Those of a rule are held as sessions are.
  for (let i = 0; i < 5000; i++) logger.warn({ i }, 'too many')
  for (let i = 0; i < 5000; i++) logger.info({ i }, `message ${i}`)
  log('warn')
  const lines = screen.text.split('\n')
  const told = [...screen.text.matchAll(/\.\.\. and .*/g)].length
  // However many seconds that took.
  const count = (what: RegExp) => lines.filter((line) => what.test(line)).length
  const most = (n: number) => n * (told + 1)
  for (const what of [/:\d\d 127.*web > app\/a/, /WARN 127.*web > app\/a/, /too many/]) {
    assert.ok(count(what) >= 10 && count(what) <= most(10), `${what}: ${count(what)}`)
  }
  assert.ok(count(/message/) >= 40 && count(/message/) <= most(50), `${count(/message/)}`)
})

test('what a terminal did not show is counted in the next second', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  const screen = output(true)
  const terminal = new Terminal(screen, screen)
  const logger = createTerminalLog({ level: 'info', format: 'pretty', colours: false }, terminal)
  for (let i = 0; i < 25; i++) logger.info(sessionFields, 'session ended')
  for (let i = 0; i < 11; i++) logger.warn('too many')
  t.mock.timers.tick(1000)
  logger.info('next')
  assert.match(screen.text, /\n {9}\.\.\. and 15 more sessions, 1 more lines\n.*next\n$/)
})

test('JSON on a terminal is whole', () => {
  const screen = output(true)
  const terminal = new Terminal(screen, screen)
  const logger = createTerminalLog({ level: 'info', format: 'json', colours: true }, terminal)
  for (let i = 0; i < 100; i++) logger.info({ i, text: 'a\u009b\x1b' }, 'line')
  const lines = screen.text.trimEnd().split('\n')
  assert.equal(lines.length, 100)
  assert.equal((JSON.parse(lines[99] ?? '') as { text: string }).text, 'a\u009b\x1b')
  assert.ok(!lines[99]?.includes('\u009b'))
})

test('lines for people cannot be forged or move the cursor', () => {
  const screen = output(true)
  const terminal = new Terminal(screen, screen)
  terminal.line('SIGHUP: bad\x1b[2J\n  second line')
  terminal.live('a\x1bb')
  assert.equal(screen.text, 'SIGHUP: bad\\x1b[2J\n  second line\n\r\x1b[2Ka\\x1bb')
})

test('colours: a terminal, and what the environment says', () => {
  const terminal = { isTTY: true }
  assert.equal(wantsColours(terminal, {}), true)
  assert.equal(wantsColours({}, {}), false)
  assert.equal(wantsColours(terminal, { NO_COLOR: '1' }), false)
  assert.equal(wantsColours(terminal, { NO_COLOR: '' }), true)
  assert.equal(wantsColours(terminal, { TERM: 'dumb' }), false)
  for (const force of ['', '1', '3', 'true']) {
    assert.equal(wantsColours({}, { FORCE_COLOR: force, NO_COLOR: '1' }), true)
  }
  for (const force of ['0', 'false']) {
    assert.equal(wantsColours(terminal, { FORCE_COLOR: force }), false)
  }
})

test('exit codes and messages of errors', () => {
  assert.equal(exitCodeOf(new SluiceError('ERR_SLUICE_CONFIG', 'x')), ExitCode.CONFIG)
  assert.equal(exitCodeOf(new SluiceError('ERR_SLUICE_CONFIG_LOAD', 'x')), ExitCode.CONFIG)
  assert.equal(exitCodeOf(new SluiceError('ERR_SLUICE_LISTEN', 'x')), ExitCode.START)
  assert.equal(exitCodeOf(new SluiceError('ERR_SLUICE_ABI_MISMATCH', 'x')), ExitCode.START)
  assert.equal(exitCodeOf(new Error('x')), ExitCode.FATAL)
  assert.equal(describeError(new SluiceError('ERR_SLUICE_LISTEN', 'in use'), false), 'in use')
  assert.equal(describeError(new TypeError('x'), false), 'TypeError: x')
  assert.match(
    describeError(new Error('x', { cause: new Error('y') }), true),
    /^Error: x\n.*caused by Error: y\n/s,
  )
  assert.equal(describeError('text', false), 'text')
})
