import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { routeSpec } from '#sluice/backend/route.js'
import type { ResolvedServer } from '#sluice/config/resolved.js'
import { backendConfig, server } from './support.js'

const { timeouts } = backendConfig([], {
  timeouts: { connect: 1, server: 2, serverFin: 3, tunnel: 4, queue: 5 },
})
const plain = {
  sendProxy: 0,
  proxyCrc: false,
  connectTimeout: 1,
  serverTimeout: 2,
  serverFinTimeout: 3,
  tunnelTimeout: 4,
}
const spec = (options: Partial<ResolvedServer>, ip?: string) =>
  routeSpec(server('a', 1, options), timeouts, ip)

describe('the route to a server', () => {
  it('has its address and the time-outs of the backend', () => {
    assert.deepEqual(spec({ address: { kind: 'ip', ip: '::1', port: 80 } }), {
      ...plain,
      address: { kind: 'tcp', ip: '::1', port: 80 },
    })
    assert.deepEqual(spec({ address: { kind: 'unix', path: '/run/a.sock' } }), {
      ...plain,
      address: { kind: 'unix', path: '/run/a.sock' },
    })
    assert.deepEqual(
      spec({ address: { kind: 'host', host: 'a.example', port: 80 } }, '192.0.2.1').address,
      { kind: 'tcp', ip: '192.0.2.1', port: 80 },
    )
  })

  it('sends a PROXY header of the configured version', () => {
    const sendProxy = { version: 2, uniqueId: false, crc32c: true, ssl: false, sslCn: false } as const
    assert.deepEqual(spec({ sendProxy }), {
      ...plain,
      address: { kind: 'tcp', ip: '127.0.0.1', port: 9001 },
      sendProxy: 2,
      proxyCrc: true,
    })
  })

  it('leads to the SOCKS proxy, which resolves names', () => {
    const socks = {
      ip: '192.0.2.5',
      port: 1080,
      version: 4,
      user: 'u',
      password: undefined,
    } as const
    const made = spec({ address: { kind: 'host', host: 'a.example', port: 80 }, socks })
    assert.deepEqual(made.address, { kind: 'tcp', ip: '192.0.2.5', port: 1080 })
    assert.deepEqual(made.socks, { version: 4, user: 'u', host: 'a.example', port: 80 })
    const literal = spec({ address: { kind: 'ip', ip: '192.0.2.9', port: 81 }, socks })
    assert.deepEqual(literal.socks, { version: 4, user: 'u', host: '192.0.2.9', port: 81 })
  })

  it('starts from the configured source', () => {
    assert.equal(spec({ source: 'client' }).source, 'client')
    assert.deepEqual(spec({ source: { ip: '192.0.2.3', port: 0 } }).source, { ip: '192.0.2.3' })
    assert.deepEqual(spec({ source: { ip: '192.0.2.3', port: 99 } }).source, {
      ip: '192.0.2.3',
      port: 99,
    })
  })

  it('cannot be made for what has no address', () => {
    const applet = { kind: 'applet', name: 'echo', serve: () => {} } as const
    const socks = {
      ip: '192.0.2.5',
      port: 1080,
      version: 5,
      user: undefined,
      password: undefined,
    } as const
    const code = { code: 'ERR_SLUICE_ARGUMENT' }
    assert.throws(() => spec({ address: { kind: 'applet', applet } }), code)
    assert.throws(() => spec({ address: { kind: 'host', host: 'a.example', port: 80 } }), code)
    assert.throws(() => spec({ address: { kind: 'unix', path: '/run/a.sock' }, socks }), code)
  })
})
