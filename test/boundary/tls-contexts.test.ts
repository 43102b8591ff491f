/** TLS contexts through the addon: what is refused and how, and that the others are made. */

import assert from 'node:assert/strict'
import type {
  DownstreamTlsSpec,
  RouteSpec,
  TlsCertificate,
  UpstreamTlsSpec,
} from '#sluice/engine/engine.js'
import { createNativeEngine } from '#sluice/engine/native/engine.js'
import { makeAuthority, selfSigned } from '../support/certificates.js'
import { downstreamSpec, upstreamSpec } from '../support/tls-specs.js'
import { boundaryTest } from './support.js'

const alpn = ['h2', 'http/1.1']

function serverSpec(...certificates: TlsCertificate[]): DownstreamTlsSpec {
  return downstreamSpec(certificates, { alpn, sessionCache: 1000 })
}

function clientSpec(ca: string): UpstreamTlsSpec {
  return upstreamSpec({ alpn, ca, sessionCache: 100 })
}

function routeSpec(tls?: RouteSpec['tls']): RouteSpec {
  return {
    address: { kind: 'tcp', ip: '127.0.0.1', port: 1 },
    sendProxy: 0,
    proxyCrc: false,
    ...(tls && { tls }),
    connectTimeout: 1000,
    serverTimeout: 0,
    serverFinTimeout: 0,
    tunnelTimeout: 0,
  }
}

boundaryTest('TLS contexts are made, numbered, named by routes and forgotten', async () => {
  const authority = makeAuthority()
  const [ec, rsa] = (['ec', 'rsa'] as const).map((key) => authority.issue({ names: ['a'], key }))
  assert.ok(ec && rsa)
  const engine = createNativeEngine({ workers: 1, slots: 16 })
  try {
    const ocsp = authority.ocsp(ec)
    const both = serverSpec(
      { chain: ec.chain, key: ec.key, ocsp },
      { chain: rsa.chain, key: rsa.key },
    )
    const first = engine.downstreamTls(both)
    const ciphers = ['TLS_AES_256_GCM_SHA384', 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256']
    const crl = authority.crl()
    const strict = { clientCert: 'required', ca: authority.cert, crl, ciphers } as const
    const second = engine.downstreamTls({ ...both, ...strict, groups: ['secp256r1', 'x25519'] })
    const certificate = { chain: rsa.chain, key: rsa.key }
    const client = engine.upstreamTls({ ...clientSpec(authority.cert), certificate })
    const lenient = engine.upstreamTls({ ...clientSpec(''), verify: false })
    assert.equal(new Set([first, second, client, lenient]).size, 4)

    const route = engine.route(routeSpec({ context: client, serverName: 'a.example' }))
    assert.notEqual(engine.route(routeSpec({ context: client, serverName: '::1' })), route)
    engine.route(routeSpec({ context: lenient, serverName: '' }))
    const refused = (context: number, serverName: string, message: RegExp) => {
      assert.throws(() => engine.route(routeSpec({ context, serverName })), {
        name: 'SluiceError',
        code: 'ERR_SLUICE_TLS',
        message,
      })
    }
    refused(client, 'not a name', /'not a name' is neither a DNS name nor an IP address/)
    refused(client, '', /needs a name/)
    refused(first, 'a.example', /no TLS context for servers/)
    engine.tlsForget(client)
    refused(client, 'a.example', /no TLS context for servers/)
    // Routes without TLS need no context.
    engine.route(routeSpec())
    for (const context of [first, second, lenient, client, -1, 2 ** 31 - 1]) {
      engine.tlsForget(context)
    }
    // A number is not used again: an answer that is on its way would find another context.
    assert.ok(engine.downstreamTls(both) > lenient)
  } finally {
    await engine.stop()
  }
  engine.tlsForget(0)
})

boundaryTest('what is wrong with a TLS context is said, without a word of its key', async () => {
  const issued = selfSigned({ names: ['a.example'] })
  const other = selfSigned({ names: ['a.example'] })
  const good = { chain: issued.chain, key: issued.key }
  const engine = createNativeEngine({ workers: 1, slots: 16 })
  const secrets = [issued, other].flatMap(({ key }) => key.split('\n').filter((it) => it !== ''))
  const refused = (make: () => number, message: RegExp) => {
    assert.throws(make, (error: Error & { code?: string }) => {
      assert.equal(error.code, 'ERR_SLUICE_TLS')
      assert.match(error.message, message)
      for (const line of secrets) assert.ok(!error.message.includes(line), error.message)
      return true
    })
  }
  const server = (change: Partial<DownstreamTlsSpec>, ...certificates: TlsCertificate[]) => {
    return () => engine.downstreamTls({ ...serverSpec(...certificates), ...change })
  }
  try {
    refused(server({}), /no certificate/)
    refused(server({}, { ...good, key: other.key }), /key does not belong to the first certificate/)
    refused(server({}, { ...good, key: '' }), /no private key/)
    refused(
      server({}, { ...good, key: issued.key.replace(/\n./, '\n*') }),
      /private key is not PEM/,
    )
    refused(server({}, { ...good, chain: issued.key }), /no certificate in the certificate chain/)
    refused(server({ ciphers: ['RC4'] }, good), /unknown cipher suite 'RC4'; known are TLS_AES/)
    refused(server({ groups: ['p1'] }, good), /unknown group 'p1'; known are x25519/)
    refused(server({ clientCert: 'optional' }, good), /no authority to verify clients against/)
    refused(server({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' }, good), /minVersion/)
    refused(() => engine.upstreamTls(clientSpec('')), /no authority to verify servers against/)
    refused(() => engine.upstreamTls({ ...clientSpec(''), ca: issued.key }), /no certificate in ca/)
  } finally {
    await engine.stop()
  }
  refused(server({}, good), /the engine has stopped/)
})
