import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatAddresses } from '#sluice/cli/banner.js'
import { describeError, ExitCode, exitCodeOf } from '#sluice/cli/exit.js'
import { formatBytes, formatCount, LiveMeter } from '#sluice/cli/live.js'
import { type Output, Terminal } from '#sluice/cli/terminal.js'
import { createTerminalLog, formatLogLine } from '#sluice/cli/terminal-log.js'
import { SluiceError } from '#sluice/errors.js'

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

const session = {
  level: 30,
  time: new Date(2026, 0, 1, 12, 34, 56).getTime(),
  msg: 'session',
  id: 'a1',
  frontend: 'web',
  src: '127.0.0.1',
  srcPort: 4711,
  backend: 'app',
  server: 'a',
  timers: { queue: 0, connect: 1, total: 12.4 },
  bytesIn: 78,
  bytesOut: 2048,
  by: 'server',
  phase: 'data',
  code: 'done',
}

test('log lines as text', () => {
  assert.equal(
    formatLogLine(session),
    '12:34:56 127.0.0.1:4711 web > app/a  12 ms  in 78 B out 2 kB  server/data/done',
  )
  const rejected = {
    ...session,
    src: '',
    backend: undefined,
    server: undefined,
    rule: 'tooFast',
    level: 40,
  }
  assert.equal(
    formatLogLine(rejected),
    '12:34:56 WARN unix web  12 ms  in 78 B out 2 kB  server/data/done  rule tooFast',
  )
  const { time } = session
  assert.equal(
    formatLogLine({ level: 40, time, msg: 'server is down', server: 'a', last: { code: 1 } }),
    '12:34:56 WARN server is down server=a last={"code":1}',
  )
  assert.equal(
    formatLogLine({
      level: 50,
      time,
      msg: 'rule x failed',
      err: { message: 'no', stack: 'Error: no\n    at x' },
    }),
    '12:34:56 ERROR rule x failed \n  Error: no\n    at x',
  )
})

test('a terminal gets a few sessions a second, and the number of the others', () => {
  const screen = output(true)
  const logger = createTerminalLog('info', new Terminal(screen, screen))
  const { level: _level, time: _time, msg: _msg, ...fields } = session
  for (let i = 0; i < 5000; i++) logger.info(fields, 'session')
  logger.warn(fields, 'session')
  const shown = screen.text.split('\n').filter((line) => line.includes('web > app/a'))
  const hidden = [...screen.text.matchAll(/and (\d+) more sessions/g)].map((match) =>
    Number(match[1]),
  )
  // However many seconds that took: nobody is lost but the ones that are not told yet.
  assert.ok(shown.length <= 11 + 10 * hidden.length, `${shown.length} shown`)
  assert.equal(shown.filter((line) => line.includes('WARN')).length, 1)
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
