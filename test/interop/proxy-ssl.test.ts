/** What HAProxy tells of TLS that it terminated, in a PROXY v2 header, as rules read it. */

import assert from 'node:assert/strict'
import { type ConnectionOptions, connect } from 'node:tls'
import { type Connection, type ProxySsl, readProxySsl, reply } from '#sluice/policy.js'
import { makeAuthority } from '../support/certificates.js'
import { startHaproxy } from './support/haproxy.js'
import { interopTest, type Running } from './support/sluice.js'

const authority = makeAuthority()
const server = authority.issue({ names: ['front.example'], key: 'rsa' })
const client = authority.issue({ names: ['zoe of example'], noAltNames: true, client: true })

/** HAProxy that terminates TLS, asks for a certificate, and tells all it knows. */
function tlsFront(sluice: Running, options: string) {
  return startHaproxy(
    1,
    ([port]) => `
frontend front
  mode tcp
  bind 127.0.0.1:${port} ssl crt ${server.pemFile} ca-file ${authority.certFile} verify optional
  default_backend sluice
backend sluice
  mode tcp
  server sluice 127.0.0.1:${sluice.port()} ${options}`,
  )
}

/** Until the other side closes. */
function talk(port: number, options: ConnectionOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const given = { host: '127.0.0.1', port, rejectUnauthorized: false, ...options }
    const socket = connect(given)
    socket
      .on('error', reject)
      .on('close', () => resolve())
      .resume()
  })
}

const EVERYTHING = 'send-proxy-v2-ssl-cn proxy-v2-options ssl-cipher,cert-sig,cert-key'

interopTest('HAProxy tells of TLS with and without a certificate', async (start) => {
  const seen: (ProxySsl | undefined)[] = []
  function look({ proxyTlvs }: Connection) {
    seen.push(readProxySsl(proxyTlvs))
    return reply('bye')
  }
  const sluice = await start({
    frontends: {
      web: {
        bind: { address: '127.0.0.1:0', acceptProxy: { from: ['127.0.0.1/32'] } },
        rules: { connection: [look] },
      },
    },
    backends: { none: { servers: { a: '127.0.0.1:1' } } },
  })
  const front = await tlsFront(sluice, EVERYTHING)
  try {
    const { cert, key } = client
    const old: ConnectionOptions = {
      maxVersion: 'TLSv1.2',
      ciphers: 'ECDHE-RSA-AES128-GCM-SHA256',
    }
    await talk(front.port, old)
    await talk(front.port, { ...old, cert, key })
    await talk(front.port, { cert, key, ciphers: 'TLS_CHACHA20_POLY1305_SHA256' })
    await sluice.ended(3)
  } finally {
    await front.stop()
  }
  const common = { ssl: true, sigAlg: 'ecdsa-with-SHA256', keyAlg: 'RSA2048' }
  const twelve = { ...common, version: 'TLSv1.2', cipher: 'ECDHE-RSA-AES128-GCM-SHA256' }
  const thirteen = { ...common, version: 'TLSv1.3', cipher: 'TLS_CHACHA20_POLY1305_SHA256' }
  const nobody = { clientCert: false, verified: false, commonName: '' }
  const zoe = { clientCert: true, verified: true, commonName: 'zoe of example' }
  assert.deepEqual(seen, [
    { ...twelve, ...nobody },
    { ...twelve, ...zoe },
    { ...thirteen, ...zoe },
  ])
})
