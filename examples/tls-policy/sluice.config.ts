/**
 * TLS ends here, and policy has its say with every ClientHello and behind every
 * handshake: clients with a fingerprint (JA4) that is on a list are turned away
 * before anything is signed for them, one name demands a certificate of its
 * clients, HTTP/2 goes to servers of its own. What HAProxy does by req.ssl_*,
 * crt-lists and ssl_c_s_dn.
 *
 *   sh examples/tls-policy/certificates.sh /tmp/certificates
 *   CERTIFICATES=/tmp/certificates sluice run -c examples/tls-policy/sluice.config.ts
 *   curl --cacert /tmp/certificates/ca.pem --resolve www.example.com:8443:127.0.0.1 https://www.example.com:8443/
 */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'sluice'
import { certificateFor, http2To, onlyFor, withoutFingerprints } from './rules.js'

export const tryIt =
  'curl --cacert /tmp/certificates/ca.pem --resolve www.example.com:8443:127.0.0.1 https://www.example.com:8443/'

const folder = process.env.CERTIFICATES ?? '/tmp/certificates'
const denied = process.env.DENIED ?? fileURLToPath(new URL('denied.txt', import.meta.url))
const admin = 'admin.example.com'

export default defineConfig({
  frontends: {
    https: {
      bind: {
        address: '127.0.0.1:8443',
        tls: {
          cert: [`${folder}/www.pem`, `${folder}/admin.pem`],
          // Whose certificates clients may show; they are asked for one only where a rule says so.
          ca: `${folder}/ca.pem`,
          alpn: ['h2', 'http/1.1'],
        },
      },
      backend: 'http1',
      rules: {
        clientHello: [withoutFingerprints(denied), certificateFor(admin, 'admin')],
        secured: [onlyFor(admin, ['alice']), http2To('http2', admin)],
      },
    },
  },
  backends: {
    http1: { servers: { a: '127.0.0.1:9001' } },
    http2: { servers: { a: '127.0.0.1:9002' } },
    // The server is told who the client is, in the header of the PROXY protocol.
    admin: {
      servers: { a: { address: '127.0.0.1:9003', sendProxy: { version: 2, ssl: 'cn' } } },
    },
  },
})
