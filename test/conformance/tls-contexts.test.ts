/** What a context is made from, and a handshake that begins when its client has gone. */

import assert from 'node:assert/strict'
import type { DownstreamTlsSpec, TlsCertificate, UpstreamTlsSpec } from '#sluice/engine/engine.js'
import { Handshake } from '#sluice/wire/wire.js'
import { makeAuthority } from '../support/certificates.js'
import { engineTest, type Harness } from '../support/engine-harness.js'
import { helloBytes } from '../support/tls-peer.js'
import { downstreamSpec, upstreamSpec } from '../support/tls-specs.js'

const ca = makeAuthority()
const { cert, chain, key } = ca.issue({ names: ['a.example'] })
function serverSpec(certificate: TlsCertificate): DownstreamTlsSpec {
  return downstreamSpec([certificate], { sessionCache: 1000 })
}

function clientSpec(more: Partial<UpstreamTlsSpec>): UpstreamTlsSpec {
  return upstreamSpec({ sessionCache: 100, ...more })
}

/** Ways to take a block out of a PEM text that people use (RFC 7468 section 2: a label begins its line). */
const commented: Record<string, (pem: string) => string> = {
  'every line': (pem) => pem.trimEnd().replaceAll(/^/gm, '# '),
  'its first and last line': (pem) => pem.replaceAll(/^-----/gm, '# -----'),
  'with a space': (pem) => pem.replaceAll(/^-----/gm, ' -----'),
}

for (const [how, off] of Object.entries(commented)) {
  engineTest(`what is commented out of a PEM text is not there: ${how}`, async ({ engine }) => {
    const list = ca.crl()
    // Who read it would fail.
    const broken = off(cert.replace(/\n[^\n]+/, '\n!'))
    const made = [
      engine.downstreamTls(
        serverSpec({ chain: `${broken}\n${chain}`, key: `${off(key)}\n${key}` }),
      ),
      engine.upstreamTls(clientSpec({ ca: `${broken}\n${ca.cert}`, crl: `${off(list)}\n${list}` })),
    ]
    const refused: [() => number, RegExp][] = [
      [() => engine.downstreamTls(serverSpec({ chain: off(chain), key })), /no certificate/i],
      [() => engine.downstreamTls(serverSpec({ chain, key: off(key) })), /no private key/i],
      [() => engine.upstreamTls(clientSpec({ ca: off(ca.cert) })), /no (certificate|authority)/i],
      [
        () => engine.upstreamTls(clientSpec({ ca: ca.cert, crl: off(list) })),
        /no revocation list/i,
      ],
    ]
    for (const [make, message] of refused) {
      assert.throws(make, (error: Error & { code?: string }) => {
        assert.equal(error.code, 'ERR_SLUICE_TLS')
        assert.match(error.message, message)
        return true
      })
    }
    for (const context of made) engine.tlsForget(context)
  })
}

/** A listener that is asked about TLS and left without an answer. */
async function asking(h: Harness) {
  const ask = Handshake.TLS | Handshake.ACCEPT_SESSION
  h.answers.handshake = () => {}
  return h.listenPort({ handshakes: ask, ask })
}

engineTest('clients that reset while policy decides about TLS have reset', async (h) => {
  const context = h.engine.downstreamTls(serverSpec({ chain, key }))
  const { port } = await asking(h)
  const hello = await helloBytes({})
  // The answer about each comes when another one has ended: what it is answers nobody, any more.
  h.answers.closed = () => {
    for (const { conn, generation } of h.all('handshake')) {
      h.engine.proceed(conn, generation, 0, 0, 0, context)
    }
  }
  const clients = await Promise.all([h.dial({ port }), h.dial({ port }), h.dial({ port })])
  for (const client of clients) await client.send(hello)
  await h.until(() => h.all('handshake').length === clients.length, 'policy is asked')
  // At once, and behind unread bytes: there libuv takes a reset for an end.
  for (const { socket } of clients) {
    socket.write('more')
    socket.resetAndDestroy()
  }
  await h.until(() => h.all('closed').length === clients.length, 'every connection ends')
  assert.deepEqual(
    new Set(h.all('closed').map(({ reason }) => reason)),
    new Set(['client tls reset']),
  )
  h.engine.tlsForget(context)
})
