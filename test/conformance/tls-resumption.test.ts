/** Sessions of clients that come back: by ticket and by cache, and those that may not. */

import assert from 'node:assert/strict'
import type { DownstreamTlsConfig } from '#sluice/config/types.js'
import type { TlsInfo } from '#sluice/policy/types.js'
import { makeAuthority } from '../support/certificates.js'
import { type Stage, terminating, tlsTest } from '../support/tls-site.js'

const ca = makeAuthority()
const issued = ca.issue({ names: ['a.example'] })
const versions = ['TLSv1.2', 'TLSv1.3'] as const
type Version = (typeof versions)[number]

/** Whether each of these handshakes resumed, as policy sees it. */
const seen: boolean[] = []

function watched(tls: Partial<DownstreamTlsConfig>) {
  return () => {
    seen.length = 0
    const look = (conn: { tls: TlsInfo }) => void seen.push(conn.tls.resumed)
    return terminating(
      { cert: issued.pemFile, ...tls },
      { frontend: { rules: { secured: [look] } } },
    )
  }
}

/** Two connections, the second with the session of the first. */
async function twice(stage: Stage, maxVersion: Version): Promise<boolean> {
  const { client } = await stage.pair({ maxVersion })
  const session = await client.session()
  client.fin()
  const again = await stage.pair({ maxVersion, session })
  // A resumed connection is as good as any other.
  await again.client.send('there')
  await again.server.expect('there')
  await again.server.send('back')
  await again.client.expect('back')
  const resumed = again.client.tls.isSessionReused()
  assert.deepEqual(seen.splice(0), [false, resumed])
  return resumed
}

for (const version of versions) {
  tlsTest(`a ticket resumes, ${version}`, watched({}), async (stage) => {
    assert.equal(await twice(stage, version), true)
  })

  tlsTest(`the cache resumes, ${version}`, watched({ tickets: false }), async (stage) => {
    // node:tls resumes TLS 1.3 by tickets alone (docs/engines.md).
    const can = stage.kind === 'native' || version === 'TLSv1.2'
    assert.equal(await twice(stage, version), can)
  })

  tlsTest(`a session can be resumed more than once, ${version}`, watched({}), async (stage) => {
    const { client } = await stage.pair({ maxVersion: version })
    const session = await client.session()
    for (let i = 0; i < 3; i++) {
      const again = await stage.pair({ maxVersion: version, session })
      assert.equal(again.client.tls.isSessionReused(), true)
    }
  })
}

tlsTest(
  'neither tickets nor a cache: nothing resumes',
  watched({ tickets: false, sessionCache: 0 }),
  async (stage) => {
    const { client } = await stage.pair({ maxVersion: 'TLSv1.2' })
    const session = await client.session()
    const again = await stage.pair({ maxVersion: 'TLSv1.2', session })
    assert.equal(again.client.tls.isSessionReused(), false)
    // In TLS 1.3 there may be no ticket at all, so the handshake is all there is.
    await stage.pair({ maxVersion: 'TLSv1.3' })
    assert.deepEqual(seen, [false, false, false])
  },
)

tlsTest(
  'the cache is bounded: it forgets the oldest',
  watched({ tickets: false, sessionCache: 4 }),
  async (stage) => {
    const sessions: Buffer[] = []
    for (let i = 0; i < 40; i++) {
      const { client } = await stage.pair({ maxVersion: 'TLSv1.2' })
      sessions.push(await client.session())
      client.fin()
    }
    const resume = async (session: Buffer | undefined) => {
      const options = { maxVersion: 'TLSv1.2' as const, ...(session && { session }) }
      return (await stage.pair(options)).client.tls.isSessionReused()
    }
    assert.equal(await resume(sessions[0]), false)
    assert.equal(await resume(sessions.at(-1)), true)
  },
)

/** What Node 24 puts before a session: this, and the server's name with its length in two bytes. */
const prefix = Buffer.from('\0nodejs:tls:session:1\0')

/** Where the ticket is in a session as node:tls gives it: OpenSSL's SSL_SESSION, field 10. */
function ticketIn(session: Buffer): { at: number; length: number } {
  const header = (at: number) => {
    const first = session[at + 1] as number
    const bytes = first < 0x80 ? 0 : first & 0x7f
    const length = bytes === 0 ? first : session.readUIntBE(at + 2, bytes)
    return { content: at + 2 + bytes, length }
  }
  const prefixed = session.subarray(0, prefix.length).equals(prefix)
  const start = prefixed ? prefix.length + 2 + session.readUInt16BE(prefix.length) : 0
  let at = header(start).content
  while (at < session.length) {
    const { content, length } = header(at)
    if (session[at] === 0xaa) {
      const ticket = header(content)
      return { at: ticket.content, length: ticket.length }
    }
    at = content + length
  }
  throw new Error('a session without a ticket')
}

tlsTest('a forged ticket is a full handshake', watched({}), async (stage) => {
  for (const maxVersion of versions) {
    const { client } = await stage.pair({ maxVersion })
    const session = await client.session()
    const { at, length } = ticketIn(session)
    for (const offset of [0, 16, length >> 1, length - 1]) {
      const bad = Buffer.from(session)
      bad[at + offset] = (bad[at + offset] as number) ^ 0x55
      const again = await stage.pair({ maxVersion, session: bad })
      assert.equal(again.client.tls.isSessionReused(), false, `${maxVersion} at ${offset}`)
    }
    // The session itself is good.
    const again = await stage.pair({ maxVersion, session })
    assert.equal(again.client.tls.isSessionReused(), true)
  }
})

tlsTest('a ticket of another proxy is a full handshake', watched({}), async (stage) => {
  const stranger = await stage.server(issued)
  for (const maxVersion of versions) {
    const there = await stage.dial({ maxVersion }, stranger.port)
    const session = await there.session()
    const { client } = await stage.pair({ maxVersion, session })
    assert.equal(client.tls.isSessionReused(), false)
  }
})

tlsTest('a session is resumed only for the name it was made for', watched({}), async (stage) => {
  for (const maxVersion of versions) {
    const { client } = await stage.pair({ maxVersion, servername: 'a.example' })
    const session = await client.session()
    // What counts is that the connection works; whether it resumes is the engine's choice.
    const other = await stage.pair({ maxVersion, servername: 'b.example', session })
    await other.server.send('fine')
    await other.client.expect('fine')
  }
})
