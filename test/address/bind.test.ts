import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type BindOptions,
  readBindAddress,
  readIpPort,
  readServerAddress,
} from '#sluice/address/bind.js'
import { inheritedSockets } from '#sluice/address/listen-fds.js'
import { formatListenAddress } from '#sluice/address/text.js'

const bind = (text: string, options?: BindOptions) => {
  const parsed = readBindAddress(text, { env: {}, ...options })
  return 'value' in parsed ? parsed.value : parsed.message
}
const server = (text: string) => {
  const parsed = readServerAddress(text)
  return 'value' in parsed ? parsed.value : parsed.message
}

test('bind addresses: every form', () => {
  const v4 = (host: string, port: number) => ({ kind: 'tcp', host, port })
  const v6 = (host: string, port: number, v6only = false) => ({ kind: 'tcp', host, port, v6only })
  assert.deepEqual(bind('127.0.0.1:8080'), [v4('127.0.0.1', 8080)])
  assert.deepEqual(bind('127.0.0.1:0'), [v4('127.0.0.1', 0)])
  assert.deepEqual(bind(':8080'), [v4('0.0.0.0', 8080)])
  assert.deepEqual(bind('*:8080'), [v4('0.0.0.0', 8080)])
  assert.deepEqual(bind('localhost:8080'), [v4('127.0.0.1', 8080)])
  assert.deepEqual(bind('[::1]:8080'), [v6('::1', 8080)])
  assert.deepEqual(bind('[::]:8080', { v6only: true }), [v6('::', 8080, true)])
  assert.deepEqual(bind('127.0.0.1', { port: 80 }), [v4('127.0.0.1', 80)])
  assert.deepEqual(bind('::1', { port: '80' }), [v6('::1', 80)])
  assert.deepEqual(bind('[::1]', { port: 80 }), [v6('::1', 80)])
  assert.deepEqual(
    bind('127.0.0.1:8000-8002'),
    [8000, 8001, 8002].map((port) => v4('127.0.0.1', port)),
  )
  assert.deepEqual(bind('127.0.0.1', { port: '8000-8000' }), [v4('127.0.0.1', 8000)])
  assert.deepEqual(bind('unix:/run/a.sock'), [{ kind: 'unix', path: '/run/a.sock' }])
  assert.deepEqual(bind('unix@/run/a.sock', { mode: 0o660 }), [
    { kind: 'unix', path: '/run/a.sock', mode: 0o660 },
  ])
  if (process.platform === 'linux') {
    assert.deepEqual(bind('unix:@name'), [{ kind: 'unix', path: '@name' }])
  }
  assert.deepEqual(bind('[fe80::1%eth0]:80'), [v6('fe80::1%eth0', 80)])
  assert.deepEqual(bind('fd@3'), [{ kind: 'fd', fd: 3 }])
})

test('bind addresses: every error', () => {
  const expected =
    "expected an address such as '127.0.0.1:8080', '[::1]:8080', ':8080', '127.0.0.1:8000-8010', " +
    "'unix:/run/a.sock', 'fd@3' or 'systemd', got"
  const cases: [string, string, BindOptions?][] = [
    ['127.0.0.1', `${expected} '127.0.0.1': the port is missing.`],
    ['', `${expected} '': the port is missing.`],
    ['::1:8080:', `${expected} '::1:8080:': an IPv6 address with a port is written '[::1]:8080'.`],
    ['[::g]:80', `${expected} '[::g]:80': '::g' is no IPv6 address.`],
    ['[1.2.3.4]:80', `${expected} '[1.2.3.4]:80': '1.2.3.4' is no IPv6 address.`],
    [' :80', `${expected} ' :80': there is white space around it.`],
    [
      'example.org:80',
      `${expected} 'example.org:80': 'example.org' is no IP address, and listening is on addresses only.`,
    ],
    [
      '256.0.0.1:80',
      `${expected} '256.0.0.1:80': '256.0.0.1' is no IP address, and listening is on addresses only.`,
    ],
    [':65536', "expected a port from 0 to 65535, got '65536'."],
    [':http', "expected a port from 0 to 65535, got 'http'."],
    [':', "expected a port from 0 to 65535, got ''."],
    [':0-5', "expected a port from 1 to 65535, got '0'."],
    [':5-', "expected a port from 1 to 65535, got ''."],
    [':90-80', "the range '90-80' ends before it begins."],
    [':80', "':80' has a port already, and 'port' is set, too.", { port: 80 }],
    ['127.0.0.1', "expected a port from 0 to 65535, got '99999'.", { port: 99_999 }],
    ['127.0.0.1', 'expected a port from 0 to 65535, got -1.', { port: -1 }],
    [
      '[fe80::1]:80',
      `${expected} '[fe80::1]:80': a link-local address needs its interface: '[fe80::1%eth0]:8080'.`,
    ],
    ['unix:/a', "'v6only' is for IPv6 addresses, not for 'unix:/a'.", { v6only: true }],
    ['127.0.0.1:80', "'v6only' is for IPv6 addresses, not for '127.0.0.1:80'.", { v6only: true }],
    ['127.0.0.1:80', "'mode' is for unix sockets, not for '127.0.0.1:80'.", { mode: 0o660 }],
    ['unix:', "expected a path after 'unix:', got 'unix:'."],
    ['unix:@', "expected a path after 'unix:', got 'unix:@'."],
    ['unix:@a', "'unix:@a' is no file: it has no 'mode'.", { mode: 0o660 }],
    ['unix:/a\0b', 'the path of a unix socket may not hold a NUL byte.'],
    [`unix:/${'a'.repeat(107)}`, 'the path of a unix socket has at most 107 bytes, got 108.'],
    ['unix:/a', "'unix:/a' takes no port.", { port: 80 }],
    ['fd@', "expected 'fd@N' with a number, got 'fd@'."],
    ['fd@x', "expected 'fd@N' with a number, got 'fd@x'."],
    ['fd@2', "expected a descriptor from 3 on, got 'fd@2': 0 to 2 are the standard streams."],
    ['systemd:80', `${expected} 'systemd:80'.`],
    [
      'systemd',
      'systemd passed no sockets (LISTEN_FDS is not set, or LISTEN_PID is another process).',
    ],
  ]
  for (const [text, message, options] of cases) {
    assert.equal(bind(text, options), message)
  }
})

test('systemd passes sockets by LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES', () => {
  const env = { LISTEN_FDS: '3', LISTEN_PID: String(process.pid), LISTEN_FDNAMES: 'web:api:web' }
  const fd = (number: number) => ({ kind: 'fd', fd: number })
  assert.deepEqual(bind('systemd', { env }), [fd(3), fd(4), fd(5)])
  assert.deepEqual(bind('systemd@web', { env }), [fd(3), fd(5)])
  assert.equal(
    bind('systemd@wep', { env }),
    "systemd passed no socket named 'wep'; there is 'web', 'api'.",
  )
  assert.deepEqual(readBindAddress('systemd@wep', { env }), {
    message: "systemd passed no socket named 'wep'; there is 'web', 'api'.",
    suggestion: 'systemd@web',
  })
  assert.deepEqual(bind('systemd', { env: {}, allowNoSockets: true }), [])
  assert.deepEqual(inheritedSockets({ ...env, LISTEN_PID: '1' }, 2), [])
  assert.deepEqual(inheritedSockets({ LISTEN_FDS: '1' }, 2), [])
  assert.deepEqual(inheritedSockets({ LISTEN_FDS: 'x', LISTEN_PID: '2' }, 2), [])
  assert.deepEqual(inheritedSockets({ LISTEN_FDS: '1', LISTEN_PID: '2' }, 2), [
    { fd: 3, name: 'unknown' },
  ])
})

test('server addresses: every form', () => {
  assert.deepEqual(server('127.0.0.1:9001'), { kind: 'ip', ip: '127.0.0.1', port: 9001 })
  assert.deepEqual(server('[::1]:9001'), { kind: 'ip', ip: '::1', port: 9001 })
  assert.deepEqual(server('db-1.internal.example:5432'), {
    kind: 'host',
    host: 'db-1.internal.example',
    port: 5432,
  })
  assert.deepEqual(server('localhost:1'), { kind: 'host', host: 'localhost', port: 1 })
  assert.deepEqual(server('unix:/run/b.sock'), { kind: 'unix', path: '/run/b.sock' })
  assert.deepEqual(server('applet:echo'), { kind: 'applet', name: 'echo' })
})

test('server addresses: every error', () => {
  const expected =
    "expected 'ip:port', '[v6]:port', 'host.name:port', 'unix:/path' or 'applet:NAME', got"
  const cases: [string, string][] = [
    ['127.0.0.1', `${expected} '127.0.0.1': the port is missing.`],
    [':80', `${expected} ':80': the host is missing.`],
    ['*:80', `${expected} '*:80': the host is missing.`],
    ['::1', `${expected} '::1': the port is missing.`],
    ['300.1.1.1:80', `${expected} '300.1.1.1:80': '300.1.1.1' is no IPv4 address.`],
    ['bad!host:80', `${expected} 'bad!host:80': 'bad!host' is no host name.`],
    [
      'bad host:80',
      `${expected} 'bad host:80': options stand beside it: { address: '127.0.0.1:80', ... }.`,
    ],
    ['-a.example:80', `${expected} '-a.example:80': '-a.example' is no host name.`],
    [
      `${'a.'.repeat(127)}:80`,
      `${expected} '${'a.'.repeat(38)}a...': a host name has at most 253 characters.`,
    ],
    ['a:0', "expected a port from 1 to 65535, got '0'."],
    ['http://a:80', `${expected} 'http://a:80': an address has no 'http://'.`],
    ['applet:', `${expected} 'applet:': the applet's name is missing.`],
    ['unix:', "expected a path after 'unix:', got 'unix:'."],
  ]
  for (const [text, message] of cases) assert.equal(server(text), message)
})

test("'ip:port', where no name is possible", () => {
  assert.deepEqual(readIpPort('127.0.0.1:1080'), { value: { ip: '127.0.0.1', port: 1080 } })
  assert.deepEqual(readIpPort('localhost:1080'), { value: { ip: '127.0.0.1', port: 1080 } })
  assert.deepEqual(readIpPort('::1', 0), { value: { ip: '::1', port: 0 } })
  assert.deepEqual(readIpPort('a:1'), {
    message: "expected 'ip:port' or '[v6]:port', got 'a:1': 'a' is no IP address.",
  })
  assert.deepEqual(readIpPort('127.0.0.1'), {
    message: "expected 'ip:port' or '[v6]:port', got '127.0.0.1': the port is missing.",
  })
})

test('a formatted TCP address reads as the same', () => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6())
  fc.assert(
    fc.property(host, fc.integer({ min: 0, max: 65_535 }), (ip, port) => {
      const read = bind(formatListenAddress({ kind: 'tcp', host: ip, port }))
      assert.ok(Array.isArray(read))
      assert.deepEqual(
        read.map((one) => one.kind === 'tcp' && [one.host, one.port]),
        [[ip, port]],
      )
    }),
  )
})

test('no text makes the parsers do anything but answer', () => {
  const pieces = fc.constantFrom(
    '[',
    ']',
    ':',
    '::',
    '-',
    '@',
    'fd',
    'unix',
    'systemd',
    '1',
    '.',
    '*',
    'a',
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
      const text = parts.join('')
      for (const parsed of [readBindAddress(text, { env: {} }), readServerAddress(text)]) {
        assert.ok('value' in parsed || parsed.message.endsWith('.'))
      }
    }),
  )
})

test('servers at the port that the client came to', () => {
  const of = (text: string) => {
    const read = readServerAddress(text)
    return 'value' in read ? read.value : read.message
  }
  assert.deepEqual(of('10.0.0.1:+0'), { kind: 'ip', ip: '10.0.0.1', port: 0, offset: 0 })
  assert.deepEqual(of('[::1]:+1000'), { kind: 'ip', ip: '::1', port: 0, offset: 1000 })
  assert.deepEqual(of('ftp.example:-21'), {
    kind: 'host',
    host: 'ftp.example',
    port: 0,
    offset: -21,
  })
  for (const text of ['a:+', 'a:-', 'a:+65535', 'a:+x', 'a:+-1', 'a:++1'])
    assert.equal(typeof of(text), 'string', text)
  const range = readServerAddress('10.0.0.1:30000-30100')
  assert.ok('message' in range)
  assert.match(range.message, /a server has one port; ':\+0' is the port that the client came to/)
  assert.equal(range.suggestion, '10.0.0.1:+0')
})
