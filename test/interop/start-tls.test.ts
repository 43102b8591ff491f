/** TLS that a rule starts, with clients that ask for it in the ways of their protocols. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'
import type { Config, FrontendConfig } from '#sluice/config/types.js'
import { postgresRouter } from '#sluice/plugins/postgres-router.js'
import {
  consume,
  echo,
  type FirstBytes,
  type HandshakeRule,
  more,
  reply,
  send,
  setVar,
  startTls,
} from '#sluice/policy.js'
import { sslRequest, startup } from '../examples/postgres-peer.js'
import { makeAuthority } from '../support/certificates.js'
import { Peer } from '../support/peer.js'
import { needs, runProgram } from './support/programs.js'
import { interopTest } from './support/sluice.js'

needs('openssl')

const ca = makeAuthority()
const site = ca.issue({ names: ['mail.example'] })
const GO_AHEAD = '220 go ahead\r\n'

function smtp({ bytes }: FirstBytes) {
  const line = Buffer.from(bytes).toString()
  const length = line.indexOf('\n') + 1
  if (length === 0) return more()
  if (/^EHLO /i.test(line)) {
    return [send('250-mail.example\r\n250 STARTTLS\r\n', { consume: length }), more()]
  }
  if (/^STARTTLS\r/i.test(line)) return [send(GO_AHEAD, { consume: length }), startTls()]
  return reply('530 Must issue a STARTTLS command first\r\n')
}

/** Sees what was decrypted. */
function inside({ bytes, tls }: FirstBytes) {
  assert.ok(tls)
  if (bytes.length < 5) return more()
  return [consume(5), setVar('said', Buffer.from(bytes.subarray(0, 5)).toString())]
}

function config(...handshake: HandshakeRule[]): Config {
  return configOf({ rules: { handshake } })
}

function configOf(frontend: Partial<FrontendConfig>): Config {
  const bind = { address: '127.0.0.1:0', tls: { cert: site.pemFile }, startTls: 'rule' as const }
  return {
    frontends: { web: { bind, backend: 'app', ...frontend } },
    backends: { app: { servers: { a: echo() } } },
  }
}

const greeting = send('220 mail.example ESMTP\r\n')

const client = (port: number, protocol: string, input: string) =>
  runProgram(
    'openssl',
    [
      ...['s_client', '-connect', `127.0.0.1:${port}`, '-starttls', protocol],
      ...['-servername', 'mail.example', '-CAfile', ca.certFile, '-verify_return_error'],
      ...['-quiet', '-no_ign_eof'],
    ],
    input,
  )

/** TLS over a connection that is there. */
async function secure(peer: Peer): Promise<TLSSocket> {
  const tls = connect({ socket: peer.socket, ca: ca.cert, servername: 'mail.example' })
  await once(tls, 'secureConnect')
  return tls
}

interopTest('openssl s_client -starttls smtp', async (start) => {
  const sluice = await start(config(greeting, smtp, inside))
  const { code, stderr } = await client(sluice.port(), 'smtp', 'NOOP\nquit\n')
  assert.equal(code, 0, stderr)
  const [record] = await sluice.ended(1)
  assert.equal(record?.tls?.serverName, 'mail.example')
  assert.equal(record?.server, 'a')
})

interopTest('openssl s_client -starttls postgres, and a client without TLS', async (start) => {
  const router = postgresRouter({ route: () => 'app', tls: 'accept' })
  const sluice = await start(configOf({ use: [router] }))
  const packet = startup({ user: 'ann', database: 'orders' })
  const { code, stderr } = await client(sluice.port(), 'postgres', packet.toString('latin1'))
  assert.equal(code, 0, stderr)
  await sluice.ended(1)
  const secret = await Peer.connect({ port: sluice.port() })
  await secret.send(sslRequest)
  await secret.expect('S')
  const tls = await secure(secret)
  tls.write(packet)
  assert.deepEqual((await once(tls, 'data'))[0], packet)
  tls.end()
  await sluice.ended(2)
  const plain = await Peer.connect({ port: sluice.port() })
  await plain.send(packet)
  // The router accepts it, and so it goes on in clear.
  await plain.expect(packet.toString())
  plain.fin()
  const records = await sluice.ended(3)
  assert.equal(records[0]?.tls?.serverName, 'mail.example')
  assert.deepEqual(
    records.slice(1).map(({ tls, rule }) => [tls !== undefined, rule]),
    [
      [true, 'postgres-router/route'],
      [false, 'postgres-router/route'],
    ],
  )
  plain.destroy()
  secret.destroy()
})

interopTest('a request cut anywhere, what is inside, and the end', async (start) => {
  const sluice = await start(config(greeting, smtp, inside))
  const talk = 'EHLO me\r\nSTARTTLS\r\n'
  const cuts = [[], [3], [12], Array.from(talk, (_, i) => i).slice(1)]
  for (const [n, cut] of cuts.entries()) {
    const peer = await Peer.connect({ port: sluice.port() })
    await peer.sendSplit(Buffer.from(talk), cut)
    await peer.expect(`220 mail.example ESMTP\r\n250-mail.example\r\n250 STARTTLS\r\n${GO_AHEAD}`)
    const tls = await secure(peer)
    tls.write('HELLO')
    tls.write(' inside')
    let got = ''
    while (got.length < 7) got += (await once(tls, 'data'))[0]
    assert.equal(got, ' inside')
    tls.end()
    const record = (await sluice.ended(n + 1))[n]
    assert.equal(record?.code, 'done')
    assert.equal(record?.tls?.version, 'TLSv1.3')
    // What was said in clear counts, records of TLS do not.
    assert.equal(record?.bytesIn, talk.length + 'HELLO inside'.length)
    peer.destroy()
  }
})

interopTest('bytes in clear behind the request never get into TLS', async (start) => {
  const sluice = await start(config(greeting, smtp, inside))
  const injecting = await Peer.connect({ port: sluice.port() })
  await injecting.send('EHLO me\r\nSTARTTLS\r\nMAIL FROM:<somebody>\r\n')
  await injecting.ending()
  const [record] = await sluice.ended(1)
  assert.deepEqual(
    [record?.by, record?.phase, record?.code],
    ['client', 'handshake', 'tls-clear-bytes'],
  )
  injecting.destroy()
  // Behind the go-ahead they are taken for a record of TLS, which they are not.
  const late = await Peer.connect({ port: sluice.port() })
  await late.send('EHLO me\r\nSTARTTLS\r\n')
  await late.expect(`220 mail.example ESMTP\r\n250-mail.example\r\n250 STARTTLS\r\n${GO_AHEAD}`)
  await late.send('MAIL FROM:<somebody>\r\n')
  await late.ending()
  const second = (await sluice.ended(2))[1]
  assert.deepEqual([second?.by, second?.phase, second?.code], ['client', 'tls', 'not-tls'])
  late.destroy()
})

interopTest('who does not ask for TLS does not get through', async (start) => {
  const optional = ({ bytes }: FirstBytes) =>
    bytes.length >= 8 && bytes[4] === sslRequest[4] ? [consume(8), startTls()] : undefined
  const sluice = await start(config(optional))
  const peer = await Peer.connect({ port: sluice.port() })
  await peer.send('in clear')
  await peer.ending()
  const [record] = await sluice.ended(1)
  assert.deepEqual([record?.by, record?.phase, record?.code], ['client', 'handshake', 'not-tls'])
  peer.destroy()
})
