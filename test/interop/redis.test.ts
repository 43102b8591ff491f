/** Redis: pipelines, subscriptions, and connections that wait in silence. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { BackendConfig, Config } from '#sluice/config/types.js'
import type { Connection } from '#sluice/policy/types.js'
import { consume, type FirstBytes, more, prepend, reply, useBackend } from '#sluice/policy.js'
import { Peer } from '../support/peer.js'
import { needs, runProgram } from './support/programs.js'
import { type Redis, startRedis } from './support/redis.js'
import { interopTest, type Running } from './support/sluice.js'

needs('redis-cli', 'redis-benchmark')

let redis: Redis

before(async () => {
  redis = await startRedis()
})

after(() => redis?.stop())

function config(
  more: { backend?: Partial<BackendConfig>; timeouts?: Config['timeouts'] } = {},
): Config {
  const decided = (_conn: Connection) => useBackend('redis')
  return {
    frontends: { web: { bind: '127.0.0.1:0', rules: { connection: [decided] } } },
    backends: { redis: { servers: { a: `127.0.0.1:${redis.port}` }, ...more.backend } },
    timeouts: more.timeouts,
  }
}

function cli(running: Running, args: readonly string[], input?: string) {
  const at = ['-h', '127.0.0.1', '-p', String(running.port())]
  return runProgram('redis-cli', [...at, ...args], input)
}

/** One command in the protocol of redis (RESP). */
function resp(...words: string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`
}

interopTest('redis-cli: set and get', async (start) => {
  const sluice = await start(config())
  const key = `name-${sluice.kind}`
  assert.equal((await cli(sluice, ['set', key, 'value'])).stdout, 'OK\n')
  assert.equal((await cli(sluice, ['get', key])).stdout, 'value\n')
  const records = await sluice.ended(2)
  for (const { by, code, server } of records) {
    assert.deepEqual([by, code, server], ['client', 'done', 'a'])
  }
})

interopTest('a password of the client becomes that of the server', async (start) => {
  const user = `proxy-${Date.now()}`
  const direct = ['-h', '127.0.0.1', '-p', String(redis.port)]
  const acl = ['acl', 'setuser', user, 'on', '>secret', '+@all', '~*']
  assert.equal((await runProgram('redis-cli', [...direct, ...acl])).stdout, 'OK\n')
  const login = ({ bytes }: FirstBytes) => {
    const expected = resp('AUTH', 'ann', 'orange')
    if (bytes.length < expected.length) return more()
    const said = Buffer.from(bytes.subarray(0, expected.length)).toString()
    if (said.toLowerCase() !== expected.toLowerCase()) return reply('-WRONGPASS no\r\n')
    return [consume(expected.length), prepend(resp('AUTH', user, 'secret'))]
  }
  const sluice = await start({
    ...config(),
    frontends: {
      web: { bind: '127.0.0.1:0', backend: 'redis', rules: { handshake: [login] } },
    },
  })
  const as = (password: string) => ['--user', 'ann', '--pass', password, '--no-auth-warning']
  const { stdout, stderr } = await cli(sluice, [...as('orange'), 'acl', 'whoami'])
  assert.equal(stdout, `${user}\n`, stderr)
  const wrong = await cli(sluice, [...as('banana'), 'ping'])
  assert.match(wrong.stdout + wrong.stderr, /WRONGPASS/)
})

interopTest('redis-cli --pipe: 20 000 commands in one stream', async (start) => {
  const sluice = await start(config())
  const key = `counter-${sluice.kind}`
  const { code, stdout } = await cli(sluice, ['--pipe'], resp('INCR', key).repeat(20_000))
  assert.equal(code, 0)
  assert.match(stdout, /errors: 0, replies: 20000/)
  assert.equal((await cli(sluice, ['get', key])).stdout, '20000\n')
})

interopTest('redis-benchmark: pipelines on many connections lose no reply', async (start) => {
  const sluice = await start(config())
  const { code, stdout, stderr } = await runProgram('redis-benchmark', [
    ...['-h', '127.0.0.1', '-p', String(sluice.port())],
    ...['-c', '20', '-n', '20000', '-P', '16', '-t', 'set,get,lrange_100', '--csv'],
  ])
  assert.equal(code, 0, stderr)
  for (const name of ['SET', 'GET', 'LRANGE_100'])
    assert.match(stdout, new RegExp(`^"${name}`, 'm'))
  const { engine } = sluice.proxy.stats()
  assert.ok(engine)
  await sluice.settle()
  assert.ok(sluice.records.length >= 60, `${sluice.records.length} connections`)
  const odd = sluice.records.filter(({ by }) => by !== 'client')
  assert.deepEqual(odd, [])
})

interopTest('pipelined replies keep their order, however the commands are cut', async (start) => {
  const sluice = await start(config())
  const client = await Peer.connect({ port: sluice.port() })
  const words = Array.from({ length: 300 }, (_, i) => `word-${i}`)
  const commands = Buffer.from(words.map((word) => resp('ECHO', word)).join(''))
  const cuts = Array.from({ length: 40 }, (_, i) => 7 + i * 201)
  await client.sendSplit(commands, cuts)
  await client.expect(words.map((word) => `$${word.length}\r\n${word}\r\n`).join(''))
  client.fin()
  assert.equal(await client.ending(), 'fin')
})

interopTest('publish and subscribe', async (start) => {
  const sluice = await start(config())
  const channel = `news-${sluice.kind}`
  const subscribers = await Promise.all([1, 2, 3].map(() => Peer.connect({ port: sluice.port() })))
  for (const subscriber of subscribers) {
    await subscriber.send(resp('SUBSCRIBE', channel))
    await subscriber.expect(`*3\r\n$9\r\nsubscribe\r\n$${channel.length}\r\n${channel}\r\n:1\r\n`)
  }
  for (const message of ['first', 'second']) {
    assert.equal((await cli(sluice, ['publish', channel, message])).stdout, '3\n')
    const text = `$${channel.length}\r\n${channel}\r\n$${message.length}\r\n${message}\r\n`
    for (const subscriber of subscribers) {
      await subscriber.expect(`*3\r\n$7\r\nmessage\r\n${text}`)
    }
  }
  for (const subscriber of subscribers) subscriber.fin()
  const records = await sluice.ended(5)
  assert.ok(records.every(({ code }) => code === 'done'))
})

interopTest('a tunnel waits longer than the client and server time-outs', async (start) => {
  const sluice = await start(
    config({
      timeouts: { client: '200ms', server: '200ms' },
      backend: { timeouts: { tunnel: '1m' } },
    }),
  )
  const list = `list-${sluice.kind}`
  const client = await Peer.connect({ port: sluice.port() })
  await client.send(resp('PING'))
  await client.expect('+PONG\r\n')
  // BLPOP answers after one second of silence on both sides: nil.
  await client.send(resp('BLPOP', list, '1'))
  await client.expect('*-1\r\n')
  await client.send(resp('BLPOP', list, '30'))
  assert.equal((await cli(sluice, ['rpush', list, 'work'])).stdout, '1\n')
  await client.expect(`*2\r\n$${list.length}\r\n${list}\r\n$4\r\nwork\r\n`)
  client.fin()
  const records = await sluice.ended(2)
  assert.ok(records.every(({ by }) => by === 'client'))
})

interopTest('without a tunnel time-out the same silence ends the connection', async (start) => {
  const sluice = await start(config({ timeouts: { client: '200ms', server: '1m' } }))
  const client = await Peer.connect({ port: sluice.port() })
  await client.send(resp('PING'))
  await client.expect('+PONG\r\n')
  await client.send(resp('BLPOP', 'never', '30'))
  await client.ending()
  client.destroy()
  const [record] = await sluice.ended(1)
  assert.deepEqual([record?.by, record?.phase, record?.code], ['timeout', 'data', 'client-timeout'])
})

interopTest('a tunnel that is silent for too long ends, and redis hears of it', async (start) => {
  const sluice = await start(config({ backend: { timeouts: { tunnel: '300ms' } } }))
  const client = await Peer.connect({ port: sluice.port() })
  const name = `idle-${sluice.kind}`
  await client.send(resp('CLIENT', 'SETNAME', name))
  await client.expect('+OK\r\n')
  await client.ending()
  client.destroy()
  const [record] = await sluice.ended(1)
  assert.deepEqual([record?.by, record?.phase, record?.code], ['timeout', 'data', 'tunnel-timeout'])
  const listed = async () => {
    const { stdout } = await runProgram('redis-cli', ['-p', String(redis.port), 'client', 'list'])
    return stdout.includes(`name=${name}`)
  }
  while (await listed()) await delay(20)
})

interopTest('redis on a unix socket; QUIT closes from the server side', async (start) => {
  const sluice = await start({
    ...config(),
    backends: { redis: { servers: { a: `unix:${redis.socketPath}` } } },
  })
  const client = await Peer.connect({ port: sluice.port() })
  client.socket.once('end', () => client.socket.end())
  await client.send(resp('QUIT'))
  await client.expect('+OK\r\n')
  assert.equal(await client.ending(), 'fin')
  if (!client.socket.destroyed) await once(client.socket, 'close')
  const [record] = await sluice.ended(1)
  assert.deepEqual([record?.by, record?.code], ['server', 'done'])
})
