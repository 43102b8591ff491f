/** Listening: addresses of every family, the record of an accepted connection, limits, pause, unlisten. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ListenAddress } from '#sluice/address/bind.js'
import { SluiceError } from '#sluice/base/errors.js'
import { ConnFlag, ConnState, Family, Field, Handshake } from '#sluice/wire/wire.js'
import { engineTest, type Harness, type Told } from '../support/engine-harness.js'
import { dialing } from '../support/peer.js'

engineTest('an IPv4 connection has its addresses in the table', async (h) => {
  const upstream = await h.server()
  const { listener, address } = await h.listen()
  assert.equal(address.family, 'IPv4')
  assert.equal(address.address, '127.0.0.1')
  assert.ok(address.port > 0)
  h.route(upstream.port)
  const client = await h.dial({ port: address.port })
  const { conn, generation, bit, record, listener: from } = await h.next('handshake')
  assert.equal(bit, Handshake.ACCEPT_SESSION)
  assert.equal(from, listener)
  assert.notEqual(generation, 0)
  assert.equal(h.engine.table.generation(conn), generation)
  assert.deepEqual(
    { ...record, flags: 0, state: 0 },
    {
      src: '127.0.0.1',
      dst: '127.0.0.1',
      srcPort: client.socket.localPort,
      dstPort: address.port,
      family: Family.INET,
      state: 0,
      flags: 0,
      handshakes: Handshake.ACCEPT_SESSION,
      bytesIn: 0,
      bytesOut: 0,
    },
  )
  assert.equal(record.state, ConnState.ACCEPTED)
  const up = ConnFlag.FD_ALLOCATED | ConnFlag.CTRL_CONNECTED
  assert.equal(record.flags & up, up)
  assert.equal(record.flags & (ConnFlag.SHR | ConnFlag.SHW | ConnFlag.ERR), 0)
  assert.equal(h.engine.table.get(conn, Field.LISTENER), listener)
})

engineTest('an established session links its two records', async (h) => {
  const { conn } = await h.pair()
  const { table } = h.engine
  const peer = table.get(conn, Field.PEER)
  assert.ok(peer >= 0)
  assert.equal(table.get(peer, Field.PEER), conn)
  assert.equal(table.get(conn, Field.STATE), ConnState.ESTABLISHED)
  assert.equal(table.get(peer, Field.STATE), ConnState.ESTABLISHED)
  assert.equal(table.get(conn, Field.HANDSHAKES), 0)
  assert.equal(h.engine.stats().connections, 2)
})

engineTest('an IPv6 connection has its addresses in the table', async (h) => {
  const upstream = await h.server()
  const { address } = await h.listen({
    address: { kind: 'tcp', host: '::1', port: 0, v6only: true },
  })
  assert.equal(address.family, 'IPv6')
  assert.equal(address.address, '::1')
  h.route(upstream.port)
  const client = await h.dial({ host: '::1', port: address.port })
  const { record } = await h.next('handshake')
  assert.equal(record.family, Family.INET6)
  assert.equal(record.src, '::1')
  assert.equal(record.dst, '::1')
  assert.equal(record.srcPort, client.socket.localPort)
  assert.equal(record.dstPort, address.port)
})

engineTest('a dual-stack listener reports IPv4 clients as IPv4', async (h) => {
  const upstream = await h.server()
  const { address } = await h.listen({
    address: { kind: 'tcp', host: '::', port: 0, v6only: false },
  })
  h.route(upstream.port)
  await h.dial({ port: address.port })
  const { record } = await h.next('handshake')
  assert.equal(record.family, Family.INET)
  assert.equal(record.src, '127.0.0.1')
  assert.equal(record.dst, '127.0.0.1')
})

engineTest('v6only leaves the IPv4 port to others', async (h) => {
  const { address } = await h.listen({
    address: { kind: 'tcp', host: '::', port: 0, v6only: true },
  })
  const { port } = address
  const second = await h.listen({ address: { kind: 'tcp', host: '0.0.0.0', port } })
  assert.equal(second.address.port, port)
})

engineTest('unix sockets on both sides', async (h) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  try {
    const upstream = await h.server({ path: join(folder, 'server') })
    const path = join(folder, 'front')
    const { address, listener } = await h.listen({ address: { kind: 'unix', path, mode: 0o600 } })
    assert.deepEqual(address, { family: 'unix', address: path, port: 0 })
    assert.equal(statSync(path).mode & 0o777, 0o600)
    h.route(join(folder, 'server'))
    const client = await h.dial({ path })
    const { record } = await h.next('handshake')
    assert.equal(record.family, Family.UNIX)
    assert.equal(record.src, '')
    await client.send('over unix')
    client.fin()
    const server = await upstream.accept()
    assert.equal((await server.readToEnd()).toString(), 'over unix')
    await server.send('and back')
    server.fin()
    assert.equal((await client.readToEnd()).toString(), 'and back')
    assert.equal((await h.next('closed')).reason, 'client data done')
    await h.engine.unlisten(listener)
    assert.equal(existsSync(path), false)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

/** What policy does with a unix client that has written and closed. */
const slowly: Record<string, (h: Harness, told: Told & { bit: number }) => Promise<void>> = {
  'is asked about it': async (h, told) => {
    await delay(50)
    h.pass(told)
  },
  'holds it back': async (h, { conn, generation }) => {
    h.engine.proceed(conn, generation, Handshake.ACCEPT_SESSION, 0, 0)
    await delay(50)
    h.engine.connect(conn, generation, h.defaultRoute, 0, 0)
  },
  'looks at its bytes': async (h, { conn, generation }) => {
    h.engine.inspect(conn, generation, 100, 0, 0)
    await h.next('bytes', ({ bytes }) => bytes?.toString() === 'fire and forget')
    await delay(50)
    h.engine.connect(conn, generation, h.defaultRoute, 0, 0)
  },
  'connects it at once': async (h, told) => h.pass(told),
}

for (const [what, answer] of Object.entries(slowly)) {
  engineTest(`a unix client writes and closes while policy ${what}`, async (h) => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
    try {
      const upstream = await h.server({ path: join(folder, 'server') })
      const path = join(folder, 'front')
      await h.listen({ address: { kind: 'unix', path } })
      h.route(join(folder, 'server'))
      h.answers.handshake = (told) => void answer(h, told)
      const client = await h.dial({ path })
      await client.send('fire and forget')
      client.destroy()
      const server = await upstream.accept()
      assert.equal((await server.readToEnd()).toString(), 'fire and forget')
      server.fin()
      assert.equal((await h.next('closed')).reason, 'client data done')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
}

engineTest(
  'a unix socket that a dead process left is replaced, what is in use is not',
  async (h) => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
    try {
      const path = join(folder, 'front')
      leaveSocketBehind(path)
      assert.ok(statSync(path).isSocket())
      await h.listen({ address: { kind: 'unix', path } })
      await assert.rejects(h.listen({ address: { kind: 'unix', path } }), isListenError(path))
      const file = join(folder, 'file')
      writeFileSync(file, '')
      await assert.rejects(h.listen({ address: { kind: 'unix', path: file } }), isListenError(file))
      assert.ok(existsSync(file))
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)

engineTest('an inherited descriptor is listened on', async (h) => {
  const listening = createServer()
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  const { port } = listening.address() as AddressInfo
  const { fd } = (listening as unknown as { _handle: { fd: number } })._handle
  const script = fileURLToPath(new URL('../support/inherited-child.js', import.meta.url))
  const child = spawn(process.execPath, [script, h.engine.kind], {
    stdio: ['pipe', 'pipe', 'inherit', fd],
  })
  const [line] = (await once(child.stdout as Readable, 'data')) as [Buffer]
  assert.deepEqual(JSON.parse(line.toString()), { family: 'IPv4', address: '127.0.0.1', port })
  // The socket lives on in the child alone.
  await new Promise<void>((resolve) => listening.close(() => resolve()))
  const client = await h.dial({ port })
  assert.equal((await client.readToEnd()).toString(), 'inherited')
  const ended = once(child, 'exit')
  child.stdin?.end()
  assert.deepEqual(await ended, [0, null])
})

engineTest('a port in use is an error that names the address', async (h) => {
  const { port } = await h.listenPort()
  const { listener } = await h.listen()
  assert.ok(listener >= 0)
  await assert.rejects(
    h.listen({ address: { kind: 'tcp', host: '127.0.0.1', port } }),
    isListenError(`127.0.0.1:${port}`),
  )
})

for (const workers of [1, 2]) {
  engineTest(
    `a port is shared with nobody who does not ask for it, with ${workers} workers`,
    async (h) => {
      const { port } = await h.listenPort()
      const address = { kind: 'tcp', host: '127.0.0.1', port } as const
      await assert.rejects(h.listen({ address }), isListenError(`127.0.0.1:${port}`))
    },
    { workers },
  )
}

engineTest('a port is shared with who asks for it, too', async (h) => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const asks = { reusePort: true }
  if (h.engine.kind === 'js' && (major < 22 || (major === 22 && minor < 12))) {
    await assert.rejects(h.listen(asks), /the js engine has no 'reusePort'/)
    return
  }
  const { port, listener } = await h.listenPort(asks)
  const address = { kind: 'tcp', host: '127.0.0.1', port } as const
  const second = await h.listen({ address, ...asks })
  assert.equal(second.address.port, port)
  await h.engine.unlisten(listener)
  const upstream = await h.server()
  h.route(upstream.port)
  await h.dial({ port })
  assert.equal((await h.next('handshake')).listener, second.listener)
})

engineTest('what cannot be listened on is told in one set of words, with its cause', async (h) => {
  const { port } = await h.listenPort()
  const said = async (address: ListenAddress) => {
    const error: unknown = await h.listen({ address }).catch((error: unknown) => error)
    assert.ok(error instanceof SluiceError)
    assert.equal(error.code, 'ERR_SLUICE_LISTEN')
    const { code } = error.cause as NodeJS.ErrnoException
    assert.ok(code && error.message.endsWith(` (${code}).`), error.message)
    return error.message
  }
  const tcp = (host: string, port = 0) => said({ kind: 'tcp', host, port })
  const unix = (path: string) => said({ kind: 'unix', path })
  assert.deepEqual(
    [
      await tcp('192.0.2.1'),
      await tcp('127.0.0.1', port),
      await tcp('fe80::1%nosuch0', 80),
      await unix('/nowhere/a.sock'),
      await unix('/etc/passwd'),
    ],
    [
      'cannot listen on 192.0.2.1:0: the address is not one of this machine (EADDRNOTAVAIL).',
      `cannot listen on 127.0.0.1:${port}: the address is in use (EADDRINUSE).`,
      'cannot listen on [fe80::1%nosuch0]:80: there is no such interface (EINVAL).',
      'cannot listen on unix:/nowhere/a.sock: the folder does not exist (ENOENT).',
      'cannot listen on unix:/etc/passwd: the address is in use (EADDRINUSE).',
    ],
  )
  assert.match(await said({ kind: 'fd', fd: 999_999 }), /fd@999999: the descriptor is not open/)
})

engineTest('maxconn holds further connections back until one ends', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort({ maxconn: 2 })
  h.route(upstream.port)
  const first = await h.dial({ port })
  const second = await h.dial({ port })
  const third = await h.dial({ port })
  await third.send('waiting')
  await h.next('connected')
  await h.next('connected')
  await delay(50)
  assert.equal(h.all('handshake').length, 2)
  first.reset()
  const { conn } = await h.next('connected')
  const held = await h
    .until(() => upstream.all.length === 3, 'the third is served')
    .then(() => upstream.all[2])
  await held?.expect('waiting')
  assert.equal(h.record(conn).srcPort, third.socket.localPort)
  second.reset()
})

engineTest(
  'a full table holds further connections back until slots come free',
  async (h) => {
    const upstream = await h.server()
    const { port } = await h.listenPort()
    h.route(upstream.port)
    const clients = await Promise.all(Array.from({ length: 12 }, () => h.dial({ port })))
    const served = clients.map(async (client) => {
      const server = await upstream.accept()
      server.fin()
      await server.ending()
      assert.ok(client)
    })
    const ended = clients.map(async (client) => {
      await client.ending()
      client.fin()
    })
    await Promise.all([...served, ...ended])
    await h.idle()
    assert.equal(h.all('closed').filter(({ reason }) => reason === 'server data done').length, 12)
  },
  { slots: 64 },
)

engineTest('a paused listener serves nobody until it is resumed', async (h) => {
  const upstream = await h.server()
  const { port, listener } = await h.listenPort()
  h.route(upstream.port)
  h.engine.pause(listener, true)
  await delay(20)
  const client = dialing({ port })
  await delay(50)
  assert.equal(h.all('handshake').length, 0)
  h.engine.pause(listener, false)
  await h.next('connected')
  client.destroy()
})

engineTest(
  'a client that leaves while its listener is paused is judged by its address',
  async (h) => {
    const { port, listener } = await h.listenPort()
    h.answers.handshake = () => {}
    h.engine.pause(listener, true)
    await delay(20)
    const gone = await h.dial({ port })
    const gonePort = gone.socket.localPort
    const there = await h.dial({ port })
    await there.send('patient')
    // Where the engine shares this thread, it has accepted both after a turn of the loop.
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
    gone.reset()
    await delay(20)
    h.engine.pause(listener, false)
    for (const srcPort of [gonePort, there.socket.localPort]) {
      const { record } = await h.next('handshake')
      assert.equal(record.family, Family.INET)
      assert.equal(record.src, '127.0.0.1')
      assert.equal(record.srcPort, srcPort)
      assert.equal(record.dst, '127.0.0.1')
      assert.equal(record.dstPort, port)
    }
    const { reason, record } = await h.next('closed')
    assert.equal(reason, 'client accept-session reset')
    assert.equal(record.srcPort, gonePort)
    there.reset()
  },
)

engineTest('what is sent while maxconn holds a client back is kept, and its end', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort({ maxconn: 1 })
  h.route(upstream.port)
  const first = await h.dial({ port })
  await h.next('connected')
  const second = await h.dial({ port })
  await second.send('all that I say')
  second.fin()
  await delay(20)
  first.reset()
  const held = await h
    .until(() => upstream.all.length === 2, 'the second is served')
    .then(() => upstream.all[1])
  assert.equal((await held?.readToEnd())?.toString(), 'all that I say')
})

engineTest('unlisten refuses new connections and keeps those that are open', async (h) => {
  const { client, server, port } = await h.pair()
  const listener = h.told[0]?.listener as number
  await h.engine.unlisten(listener)
  const refused = dialing({ port })
  const code = await new Promise((resolve) => {
    refused.on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    refused.on('connect', () => resolve('connected'))
  })
  assert.equal(code, 'ECONNREFUSED')
  await client.send('still here')
  await server.expect('still here')
})

engineTest('unlisten serves those who wait for room before the listener closes', async (h) => {
  const upstream = await h.server()
  const { port, listener } = await h.listenPort({ maxconn: 2 })
  h.route(upstream.port)
  const clients = await Promise.all(Array.from({ length: 7 }, () => h.dial({ port })))
  for (const [i, client] of clients.entries()) await client.send(`client ${i}`)
  await h.next('connected')
  await h.next('connected')
  let closed = false
  const closing = h.engine.unlisten(listener).then(() => {
    closed = true
  })
  assert.equal(h.all('closed').length, 0)
  assert.equal(closed, false, 'five still wait')
  const ended = clients.map((client) => client.ending().then(() => client.fin()))
  for (const _ of clients) {
    const server = await upstream.accept()
    await server.until(() => server.received === 'client 0'.length)
    server.fin()
  }
  await Promise.all(ended)
  await closing
  assert.equal(h.all('connected').length, clients.length)
})

engineTest('unlisten at once resets those who wait', async (h) => {
  const upstream = await h.server()
  const { port, listener } = await h.listenPort({ maxconn: 1 })
  h.route(upstream.port)
  const first = await h.dial({ port })
  await h.next('connected')
  const second = await h.dial({ port })
  const closing = h.engine.unlisten(listener)
  await h.engine.unlisten(listener, true)
  await closing
  await second.ending()
  const server = await upstream.accept()
  await first.send('still here')
  await server.expect('still here')
  await h.engine.unlisten(listener, true)
})

engineTest('a socket that another process has put at the path stays', async (h) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  try {
    const path = join(folder, 'front')
    const { listener } = await h.listen({ address: { kind: 'unix', path } })
    rmSync(path)
    const other = await h.server({ path })
    await h.engine.unlisten(listener)
    await h.dial({ path })
    await other.accept()
  } finally {
    rmSync(folder, { recursive: true })
  }
})

engineTest('an abstract unix socket is no file', async (h) => {
  const name = `@sluice-${process.pid}-${h.engine.kind}`
  const front = await h.listen({ address: { kind: 'unix', path: `${name}-front` } })
  assert.deepEqual(front.address, { family: 'unix', address: `${name}-front`, port: 0 })
  await assert.rejects(
    h.listen({ address: { kind: 'unix', path: `${name}-front` } }),
    isListenError(`unix:${name}-front`),
  )
  // Node's own client and server, which before Node 22 fill such names up with NULs.
  const upstream = await h.server({ path: `\0${name.slice(1)}` })
  const { port } = await h.listenPort()
  const toFront = h.route(`${name}-front`)
  const toServer = h.route(name)
  h.answers.handshake = ({ conn, generation, listener }) =>
    h.engine.connect(conn, generation, listener === front.listener ? toServer : toFront, 0, 0)
  const client = await h.dial({ port })
  const server = await upstream.accept()
  await client.send('no file')
  await server.expect('no file')
  assert.equal(existsSync(name), false)
})

engineTest('an address may name its interface', async (h) => {
  const host = '::1%lo'
  const { address } = await h.listen({ address: { kind: 'tcp', host, port: 0, v6only: true } })
  assert.deepEqual(address, { family: 'IPv6', address: host, port: address.port })
  const upstream = await h.server({ host: '::1' })
  h.route(0, {
    address: { kind: 'tcp', ip: host, port: upstream.port },
    source: { ip: host },
  })
  const client = await h.dial({ host: '::1', port: address.port })
  assert.equal((await h.next('handshake')).record.dst, '::1')
  const server = await upstream.accept()
  await client.send('scoped')
  await server.expect('scoped')
})

engineTest('an interface that does not exist is an error of the address', async (h) => {
  const host = 'fe80::1%nosuch0'
  const address = { kind: 'tcp', host, port: 0, v6only: true } as const
  await assert.rejects(h.listen({ address }), isListenError(`[${host}]`))
  h.route(0, { address: { kind: 'tcp', ip: host, port: 1 } })
  const { port } = await h.listenPort()
  await h.dial({ port })
  assert.equal((await h.next('connectFailed')).reason, 'proxy connect bad-address')
})

engineTest('two listeners are told apart', async (h) => {
  const one = await h.listenPort()
  const two = await h.listenPort()
  assert.notEqual(one.listener, two.listener)
  h.answers.handshake = ({ conn, generation }) => h.engine.close(conn, generation, 0, 0, 0)
  await h.dial({ port: two.port })
  assert.equal((await h.next('handshake')).listener, two.listener)
  await h.dial({ port: one.port })
  assert.equal((await h.next('handshake')).listener, one.listener)
})

/** What a process leaves that dies while it listens. */
function leaveSocketBehind(path: string): void {
  const listen = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', listen])
}

function isListenError(name: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof SluiceError)
    assert.equal(error.code, 'ERR_SLUICE_LISTEN')
    assert.ok(error.message.includes(name), error.message)
    return true
  }
}
