/** The same configuration and the same clients, without a network and on the real engines. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { BackendNames, Config, FrontendConfig, ServerConfig } from '#sluice/config/types.js'
import type { EngineKind } from '#sluice/engine/engine.js'
import type { SessionRecord } from '#sluice/flow/record/record.js'
import {
  type Applet,
  consume,
  echo,
  expectProxy,
  type HandshakeRuleOptions,
  more,
  prepend,
  reject,
  reply,
  send,
  setVar,
  startTls,
  staticReply,
  tarpit,
  useBackend,
} from '#sluice/policy.js'
import { createProxy } from '#sluice/proxy/create.js'
import { buildClientHello, type ConnectOptions, createTestProxy } from '#sluice/testing/index.js'
import { recordsOf } from '#sluice/testing/tls/hello.js'
import { engineKinds } from '../support/engines.js'
import { memoryLogger } from '../support/harness.js'
import { closedPort, startServer } from '../support/net.js'
import { dialing, Peer } from '../support/peer.js'
import { Maker } from '../support/tls-certificates.js'

interface Scenario {
  name: string
  frontend?: Partial<FrontendConfig>
  /** Stands for the server; otherwise it replies with `reply`, or refuses. */
  applet?: Applet
  server?: ServerConfig
  reply?: string
  refuses?: boolean
  bytes?: string | Uint8Array
  split?: number[]
  /** The client does not wait for the other end. */
  fin?: boolean
}

/** What a policy and its users see. */
interface Outcome {
  end: string
  rule: string | undefined
  backend: string | undefined
  server: string | undefined
  src: string
  bytesIn: number
  bytesOut: number
  reply: string
  reset: boolean
  sent: string
}

const line: HandshakeRuleOptions = {
  name: 'line',
  limit: 16,
  run({ bytes }) {
    const end = bytes.indexOf(10)
    return end < 0 ? more() : [consume(end + 1), useBackend('app')]
  },
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-fidelity-'))
after(() => rmSync(folder, { recursive: true }))
const cert = join(folder, 'a.example.pem')
const { cert: chain, key } = new Maker().make('a.example')
writeFileSync(cert, chain + key)

const tlsBind = { address: '127.0.0.1:0', tls: { cert, strictSni: true } }
const helloOf = (serverName: string) => recordsOf(buildClientHello({ serverName }))

const proxyLine = 'PROXY TCP4 198.51.100.7 198.51.100.8 1000 2000\r\n'

const scenarios: Scenario[] = [
  {
    name: 'plain HTTP where TLS is spoken',
    frontend: { bind: tlsBind },
    bytes: 'GET / HTTP/1.1\r\n\r\n',
  },
  {
    name: 'garbage where TLS is spoken',
    frontend: { bind: tlsBind },
    bytes: 'garbage',
  },
  {
    name: 'records without a ClientHello',
    frontend: { bind: tlsBind },
    bytes: Uint8Array.of(0x16, 3, 3, 0, 5, 2, 0, 0, 1, 0),
  },
  {
    name: 'a name without a certificate',
    frontend: { bind: tlsBind },
    bytes: helloOf('b.example'),
    split: [1, 4, 70],
  },
  {
    name: 'a ClientHello that a rule rejects',
    frontend: {
      bind: tlsBind,
      rules: {
        clientHello: [
          async function name({ hello }) {
            return hello.serverName === 'a.example' ? reject() : undefined
          },
        ],
      },
    },
    bytes: helloOf('a.example'),
  },
  {
    name: 'a name that is routed, its payload behind it',
    frontend: { bind: { address: '127.0.0.1:0', sniRoutes: { '*.example': 'app' } } },
    bytes: Buffer.concat([helloOf('a.example'), Buffer.from('sealed')]),
    split: [40],
    reply: 'ok',
    fin: true,
  },
  {
    name: 'no TLS where names are routed',
    frontend: { bind: { address: '127.0.0.1:0', sniRoutes: { 'a.example': 'app' } } },
    bytes: 'SSH-2.0-x\r\n',
    reply: 'ok',
    fin: true,
  },
  { name: 'request and reply', bytes: 'ping', reply: 'pong', fin: true },
  { name: 'a reply that ends first', bytes: 'ping', reply: 'pong' },
  { name: 'reject', frontend: { rules: { connection: [() => reject()] } } },
  {
    name: 'reject with RST',
    frontend: { rules: { session: [() => reject({ reset: true })] } },
  },
  { name: 'reply', frontend: { rules: { connection: [() => reply('no\n')] } } },
  { name: 'tarpit', frontend: { rules: { connection: [tarpit('30ms')] } } },
  {
    name: 'a rule that throws',
    frontend: {
      rules: {
        connection: [
          function broken() {
            throw new Error('boom')
          },
        ],
      },
    },
  },
  {
    name: 'asynchronous rules in every place',
    frontend: {
      rules: {
        connection: [async () => setVar('x', 1)],
        session: [async () => undefined],
        handshake: [async ({ bytes }) => (bytes.length < 4 ? more() : useBackend('app'))],
      },
    },
    bytes: 'abcdef',
    split: [1, 2, 5],
    reply: 'ok',
    fin: true,
  },
  {
    name: 'bytes that are rejected',
    frontend: {
      rules: {
        handshake: [
          function noSecrets({ bytes }) {
            if (bytes.length < 4) return more()
            return Buffer.from(bytes).includes('bad') ? reject() : undefined
          },
        ],
      },
    },
    bytes: 'bad!',
    split: [1, 2, 3],
  },
  {
    name: 'bytes that never come',
    frontend: {
      rules: {
        handshake: [
          { name: 'wait', deadline: '30ms', onError: 'open', run: () => more() },
          ({ bytes }) => (bytes.length ? reject() : undefined),
        ],
      },
    },
    applet: staticReply('late\n'),
  },
  {
    name: 'a handshake, cut',
    frontend: { rules: { handshake: [line] } },
    bytes: 'hello\nrest',
    split: [3, 6, 8],
    reply: 'ok',
    fin: true,
  },
  {
    name: 'a handshake over its limit',
    frontend: { rules: { handshake: [line] } },
    bytes: 'x'.repeat(16),
  },
  {
    name: 'a handshake cut short by the client',
    frontend: { rules: { handshake: [line] } },
    bytes: 'hel',
    fin: true,
  },
  {
    name: 'a handshake that never comes',
    frontend: { rules: { handshake: [{ ...line, deadline: '30ms' }] } },
  },
  {
    name: 'a greeting, an answer, and other bytes for the server',
    frontend: {
      rules: {
        handshake: [
          send('220 hi\r\n'),
          ({ bytes }) => (bytes.length < 4 ? more() : [consume(4), prepend('HELO ')]),
        ],
      },
    },
    bytes: 'EHLOme',
    split: [2, 5],
    reply: 'ok',
    fin: true,
  },
  {
    name: 'TLS that is started when the FIN has been seen',
    frontend: {
      bind: { ...tlsBind, startTls: 'rule' },
      rules: { handshake: [({ last }) => (last ? [consume(1), startTls()] : more())] },
    },
    bytes: 'S',
    fin: true,
  },
  {
    name: 'a PROXY header, cut',
    frontend: { bind: { address: '127.0.0.1:0', acceptProxy: true } },
    bytes: `${proxyLine}hi`,
    split: [1, 7, 30, proxyLine.length],
    reply: 'ok',
    fin: true,
  },
  {
    name: 'a PROXY header from somebody else',
    frontend: { bind: { address: '127.0.0.1:0', acceptProxy: { from: ['10.0.0.0/8'] } } },
  },
  {
    name: 'garbage for a PROXY header',
    frontend: { bind: { address: '127.0.0.1:0', acceptProxy: true } },
    bytes: 'GET / HTTP/1.0\r\n',
  },
  {
    name: 'a PROXY header that a rule expects',
    frontend: { rules: { connection: [() => expectProxy()] } },
    bytes: `${proxyLine}hi`,
    reply: 'ok',
    fin: true,
  },
  {
    name: 'a PROXY header for the server',
    frontend: { bind: { address: '127.0.0.1:0', acceptProxy: true } },
    server: { sendProxy: 1 },
    bytes: `${proxyLine}hi`,
    reply: 'ok',
    fin: true,
  },
  { name: 'monitor', frontend: { monitor: { from: ['127.0.0.0/8'], reply: 'fine\n' } } },
  { name: 'an applet', applet: echo(), bytes: 'echo', split: [2], fin: true },
  { name: 'an applet that ends first', applet: staticReply('hi\n') },
  { name: 'a server that refuses', refuses: true },
]

function configOf(scenario: Scenario, port: number): Config {
  const server = scenario.applet
    ? { applet: scenario.applet }
    : { address: `127.0.0.1:${port}`, ...scenario.server }
  return {
    frontends: { web: { bind: '127.0.0.1:0', backend: 'app', ...scenario.frontend } },
    backends: { app: { servers: { a: server }, retries: 1, retryDelay: '10ms' } },
  }
}

async function withoutNetwork(scenario: Scenario): Promise<Outcome> {
  await using proxy = await createTestProxy<string, BackendNames, string, string>(
    configOf(scenario, 9001),
  )
  const records: SessionRecord[] = []
  proxy.proxy.on('session', (record) => records.push(record))
  const { bytes, split, fin, refuses, reply } = scenario
  const options: ConnectOptions<string, string> = { src: '127.0.0.1', bytes, split, fin }
  if (refuses) options.servers = { 'app/a': 'refuse' }
  else if (reply !== undefined)
    options.servers = { 'app/a': { reply, end: fin ? undefined : 'fin' } }
  const result = await proxy.connect(options)
  await proxy.advance('100ms')
  const { verdict, replyText } = result
  const sent = result.sent.toString('latin1')
  return outcome(records[0], replyText, verdict === 'reset', sent)
}

async function onEngine(kind: EngineKind, scenario: Scenario): Promise<Outcome> {
  let sent = ''
  const upstream = await startServer((socket) => {
    socket.on('data', (chunk) => {
      const first = sent === ''
      sent += chunk.toString('latin1')
      if (!first || scenario.reply === undefined) return
      socket.write(scenario.reply)
      // Where both ends finish, the client does so first: the order must not be left to chance.
      if (!scenario.fin) socket.end()
    })
    socket.on('end', () => socket.end())
  })
  const port = scenario.refuses ? await closedPort() : upstream.port
  const proxy = createProxy(configOf(scenario, port), {
    engine: kind,
    logger: memoryLogger().logger,
  })
  try {
    await proxy.start()
    const ended = once(proxy, 'session') as Promise<[SessionRecord]>
    // Not awaited: a RST may come before Node tells that the connection is there.
    const client = new Peer(dialing({ port: proxy.addresses.web?.[0]?.port as number }))
    // An end that comes early may come in the middle of the sending.
    const sending = client.sendSplit(Buffer.from(scenario.bytes ?? ''), scenario.split ?? [])
    await sending.catch(() => {})
    if (scenario.fin) client.fin()
    const ending = await client.ending()
    client.fin()
    const [record] = await ended
    client.destroy()
    return outcome(record, client.rest().toString(), ending === 'reset', sent)
  } finally {
    await proxy.stop({ deadline: '0s' })
    await upstream.close()
  }
}

function outcome(
  record: SessionRecord | undefined,
  received: string,
  reset: boolean,
  sent: string,
): Outcome {
  assert.ok(record, 'the connection did not end')
  const { by, phase, code, rule, backend, server, src, bytesIn, bytesOut } = record
  const end = `${by} ${phase} ${code}`
  return { end, rule, backend, server, src, bytesIn, bytesOut, reply: received, reset, sent }
}

for (const scenario of scenarios) {
  test(`without a network as on ${engineKinds.join(' and ')}: ${scenario.name}`, async () => {
    const expected = await withoutNetwork(scenario)
    for (const kind of engineKinds) {
      assert.deepEqual(await onEngine(kind, scenario), expected, kind)
    }
  })
}
