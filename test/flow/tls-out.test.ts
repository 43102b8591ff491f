import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseTlvs } from '#sluice/codec/proxy/tlv.js'
import type { BackendConfig, Config, ServerConfig } from '#sluice/config/types.js'
import type { Connection } from '#sluice/policy.js'
import { createTestProxy } from '#sluice/testing/index.js'
import { engineOf } from '#sluice/testing/proxy.js'
import { ConnectFlag } from '#sluice/wire/wire.js'

function config(server: ServerConfig, more: Partial<BackendConfig> = {}) {
  return {
    frontends: { web: { bind: '127.0.0.1:80', backend: 'app' } },
    backends: { app: { servers: { a: { address: 'up.example:443', ...server } }, ...more } },
  } satisfies Config
}

/** Two servers with TLS, the first one first. */
function pair(more: Partial<BackendConfig> = {}) {
  const server = (port: number) => ({ address: `127.0.0.1:${port}`, tls: true as const })
  return {
    frontends: { web: { bind: '127.0.0.1:80', backend: 'app' } },
    backends: {
      app: { balance: 'first' as const, servers: { a: server(9001), b: server(9002) }, ...more },
    },
  }
}

describe('TLS to a server', () => {
  it('asks for the name of its address, and is in the log', async () => {
    await using proxy = await createTestProxy(config({ tls: { alpn: ['h2'] } }))
    const result = await proxy.connect({ bytes: 'x' })
    assert.equal(result.tls?.upstreamName, 'up.example')
    await result.connection.close()
    const line = result.logs.at(-1)
    assert.deepEqual(line?.serverTls, {
      version: 'TLSv1.3',
      cipher: 'TLS_AES_128_GCM_SHA256',
      resumed: false,
    })
    assert.equal(line?.tls, undefined)
    const [context] = engineOf(proxy).contexts.values()
    assert.deepEqual([context?.side, context?.spec.alpn], ['client', ['h2']])
  })

  it('is tried elsewhere, not again, where the certificate is wrong', async () => {
    await using proxy = await createTestProxy(pair(), {
      servers: { 'app/a': 'expired' },
    })
    const result = await proxy.connect({ bytes: 'x' })
    assert.deepEqual(result.attempts, ['app/a', 'app/b'])
    assert.equal(result.verdict, 'accepted')
  })

  it('ends the session with a warning where there is nobody else', async () => {
    await using proxy = await createTestProxy(pair({ redispatch: false, passive: false }))
    const cases = [
      ['untrusted', 'tls-cert-untrusted'],
      ['expired', 'tls-cert-expired'],
      ['wrong-name', 'tls-cert-name'],
      ['revoked', 'tls-cert-revoked'],
      ['alert', 'tls-alert'],
    ] as const
    for (const [outcome, code] of cases) {
      const result = await proxy.connect({ servers: { 'app/a': outcome } })
      assert.deepEqual(result.reason, { by: 'server', phase: 'tls-out', code })
      assert.deepEqual(result.attempts, ['app/a'])
      const line = result.logs.at(-1)
      assert.equal(line?.level, 'warn')
      assert.equal(line?.serverTls, undefined)
      assert.deepEqual(
        [line?.alert, line?.errno],
        [outcome === 'alert' ? 'handshake_failure' : undefined, undefined],
      )
    }
  })

  it('that failed is not told of the plain server behind it', async () => {
    const { frontends } = pair()
    const servers = {
      a: { address: '127.0.0.1:9001', tls: true as const },
      b: { address: '127.0.0.1:9002' },
    }
    await using proxy = await createTestProxy(
      { frontends, backends: { app: { balance: 'first', servers } } },
      { servers: { 'app/a': 'untrusted' } },
    )
    const result = await proxy.connect({ bytes: 'x' })
    assert.deepEqual([result.server, result.tls], ['b', undefined])
  })
})

it('late policy opens to a server whose way does not change with its certificates', async () => {
  const spec = async (servers: BackendConfig['servers']) => {
    await using proxy = await createTestProxy({
      frontends: { web: { bind: '127.0.0.1:80', backend: 'app', onError: 'open' } },
      backends: { app: { servers } },
    })
    const [listener] = engineOf(proxy).listeners.values()
    return engineOf(proxy).routes.get(listener?.fallbackRoute ?? -1)
  }
  const secure = { address: '127.0.0.1:9001', tls: { ca: 'ca.pem' } }
  assert.equal(await spec({ a: secure }), undefined)
  assert.equal((await spec({ a: secure, b: '127.0.0.1:9002' }))?.tls, undefined)
  assert.deepEqual((await spec({ a: secure, b: '127.0.0.1:9002' }))?.address, {
    kind: 'tcp',
    ip: '127.0.0.1',
    port: 9002,
  })
})

describe('a server name from policy', () => {
  it('is chosen for each connection; undefined takes the default', async () => {
    const serverName = (conn: Connection) => conn.tls?.serverName.replace('shop', 'INTERN')
    await using proxy = await createTestProxy({
      frontends: {
        web: {
          bind: { address: '127.0.0.1:443', tls: { cert: 'shop.example.pem' } },
          backend: 'app',
        },
        plain: { bind: '127.0.0.1:80', backend: 'app' },
      },
      backends: { app: { servers: { a: { address: 'up.example:443', tls: { serverName } } } } },
    })
    const named = await proxy.connect({ frontend: 'web', tls: { serverName: 'shop.example' } })
    assert.equal(named.tls?.upstreamName, 'intern.example')
    assert.deepEqual([named.server, named.attempts], ['a', ['app/a']])
    const plain = await proxy.connect({ frontend: 'plain' })
    assert.equal(plain.tls?.upstreamName, 'up.example')
    const routes = engineOf(proxy).routes.size
    await proxy.connect({ frontend: 'web', tls: { serverName: 'shop.example' } })
    assert.equal(engineOf(proxy).routes.size, routes)
  })

  it('that fails ends that connection, and gives its slot back', async () => {
    for (const serverName of [
      () => 'a b',
      () => 'name:443',
      () => {
        throw new Error('boom')
      },
      () => '',
      () => 7 as unknown as string,
      () => Promise.resolve('a.example') as unknown as string,
    ]) {
      await using proxy = await createTestProxy(config({ maxconn: 1, tls: { serverName } }))
      const result = await proxy.connect({})
      assert.deepEqual(result.reason, { by: 'policy', phase: 'connect', code: 'policy-error' })
      assert.equal(proxy.stats().backends.app?.servers.a?.sessions, 0)
      assert.equal(proxy.stats().frontends.web?.policyErrors, 1)
      assert.ok(result.logs.some(({ msg }) => msg === 'no route to the server'))
    }
  })
})

it('the PROXY header tells of the TLS of the client, and of its absence', async () => {
  await using proxy = await createTestProxy({
    frontends: {
      web: {
        bind: {
          address: '127.0.0.1:443',
          tls: { cert: 'a.example.pem', clientCert: 'optional', ca: 'ca.pem' },
        },
        backend: 'app',
      },
      plain: { bind: '127.0.0.1:80', backend: 'app' },
    },
    backends: {
      app: {
        servers: {
          a: {
            address: '127.0.0.1:9001',
            sendProxy: { version: 2, uniqueId: true, ssl: 'cn' },
          },
        },
      },
    },
  })
  const tlvs = () => {
    const call = engineOf(proxy).calls.findLast(({ name }) => name === 'connect')
    assert.equal(((call?.args[1] as number) & ConnectFlag.WANT_CONNECTED) === 0, true)
    return parseTlvs(call?.args[3] as Uint8Array)
  }
  const secure = await proxy.connect({
    frontend: 'web',
    tls: { serverName: 'a.example', clientCert: { commonName: 'alice' } },
  })
  // PP2_TYPE_SSL: client bits SSL, CERT_CONN and CERT_SESS, verified, then version and name.
  const ssl = Buffer.from(tlvs().get(0x20) ?? [])
  assert.equal(ssl[0], 0x07)
  assert.equal(ssl.readUInt32BE(1), 0)
  const subs = parseTlvs(ssl.subarray(5))
  assert.equal(Buffer.from(subs.get(0x21) ?? []).toString(), 'TLSv1.3')
  assert.equal(Buffer.from(subs.get(0x22) ?? []).toString(), 'alice')
  assert.equal(Buffer.from(tlvs().get(0x05) ?? []).toString(), secure.id)
  assert.ok(secure.sent.includes('alice'))
  await proxy.connect({ frontend: 'plain' })
  assert.equal(tlvs().get(0x20)?.[0], 0)
})
