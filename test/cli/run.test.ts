import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { folder, repository, sluice, start } from './spawn.js'

const quickstart = readFileSync(
  join(repository, 'examples/quickstart/sluice.config.ts'),
  'utf8',
).replace("bind: '127.0.0.1:8080'", "bind: '127.0.0.1:0'")

/** Sends a request and answers with everything until the end. */
async function get(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
  let text = ''
  for await (const chunk of socket) text += chunk
  return text
}

const listening =
  /web listens on 127\.0\.0\.1:(\d+) > app\n {2}try: curl http:\/\/127\.0\.0\.1:8080\/\n/

for (const engine of ['js', 'native']) {
  test(`the quickstart on ${engine}: answers from both servers, limits a source, logs JSON, drains on SIGTERM`, async () => {
    const { path, remove } = folder({ 'sluice.config.ts': quickstart })
    const running = start(['run', '--engine', engine], path)
    try {
      const port = Number((await running.sees(listening))[1])
      const answers: string[] = []
      for (let i = 0; i < 55; i++) answers.push(await get(port))
      assert.match(
        answers[0] ?? '',
        /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nHello 127\.0\.0\.1, this is server a\.\n$/s,
      )
      assert.match(answers[1] ?? '', /this is server b\.\n$/)
      assert.match(answers[54] ?? '', /^HTTP\/1\.1 429 /)
      running.child.kill('SIGTERM')
      const { code, stdout, stderr } = await running.ended
      assert.equal(code, 0)
      assert.match(
        stderr,
        /^sluice \S+: sluice\.config\.ts, (js engine|native engine, 1 worker), pid \d+\n/,
      )
      assert.ok(stderr.includes(`${engine} engine`))
      assert.match(stderr, /\nSIGTERM: stopping(, waiting.*)?\n$/)
      const sessions = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { event?: string; server?: string })
        .filter(({ event }) => event === 'session')
      assert.equal(sessions.length, 55)
      assert.deepEqual([sessions[0]?.server, sessions[1]?.server], ['a', 'b'])
    } finally {
      running.child.kill('SIGKILL')
      await running.ended
      remove()
    }
  })
}

const holding = `
import { defineApplet } from 'sluice/policy'
const hold = defineApplet('hold', async (stream) => {
  await stream.write('here')
  for await (const _ of stream) {}
})
setInterval(() => {}, 1000)
export default {
  frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
  backends: { app: { servers: { a: hold } } },
}
`

test('the first signal waits for sessions, a second one stops at once', async () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const { path, remove } = folder({ 'sluice.config.ts': holding })
    const running = start(['run', '--engine', 'js', '--log-level', 'silent'], path)
    try {
      const port = Number((await running.sees(/127\.0\.0\.1:(\d+)/))[1])
      const socket = connect(port, '127.0.0.1').on('error', () => {})
      await once(socket, 'data')
      running.child.kill(signal)
      await running.sees(/stopping, waiting at most 30s for 1 open; again stops at once\n/)
      // Signals of one moment are one.
      await sleep(200)
      running.child.kill(signal)
      const { code, stdout, stderr } = await running.ended
      assert.equal(code, signal === 'SIGINT' ? 130 : 143)
      assert.ok(stderr.endsWith(`${signal} again: stopping at once\n`), stderr)
      assert.equal(stdout, '')
      socket.destroy()
    } finally {
      running.child.kill('SIGKILL')
      await running.ended
      remove()
    }
  }
})

test('a session that ends lets the process end, whatever timers the configuration holds', async () => {
  const { path, remove } = folder({ 'sluice.config.ts': holding })
  const running = start(['run', '--engine', 'js'], path)
  try {
    const port = Number((await running.sees(/127\.0\.0\.1:(\d+)/))[1])
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'data')
    running.child.kill('SIGTERM')
    await running.sees(/waiting at most/)
    socket.end()
    assert.equal((await running.ended).code, 0)
  } finally {
    running.child.kill('SIGKILL')
    await running.ended
    remove()
  }
})

test('an address in use: 3, with the address', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { path, remove } = folder({
    'sluice.config.json': JSON.stringify({
      frontends: { web: { bind: `127.0.0.1:${port}`, backend: 'app' } },
      backends: { app: { servers: { a: '127.0.0.1:9' } } },
    }),
  })
  try {
    const { code, stderr } = await sluice(['run', '--engine', 'js'], path)
    assert.equal(code, 3)
    assert.ok(stderr.includes(`127.0.0.1:${port}`), stderr)
    assert.doesNotMatch(stderr, /\n\s+at /)
  } finally {
    server.close()
    remove()
  }
})

test('a forgotten promise in a policy is logged and the proxy goes on; an exception ends it with 70', async () => {
  const { path, remove } = folder({
    'sluice.config.ts': quickstart.replace(
      'function tooFast(conn: Connection) {',
      `function tooFast(conn: Connection) {
        void Promise.reject(new Error('forgotten'))
        if (sources.track(conn).connRate === 3) setImmediate(() => { throw new Error('out of line') })`,
    ),
  })
  const running = start(['run', '--engine', 'js'], path)
  try {
    const port = Number((await running.sees(listening))[1])
    assert.match(await get(port), / 200 OK/)
    assert.match(await get(port), / 200 OK/)
    await get(port)
    const { code, stdout, stderr } = await running.ended
    assert.equal(code, 70)
    assert.match(stderr, /Error: out of line\n/)
    assert.match(
      stdout,
      /"message":"forgotten".*"msg":"a promise was rejected and nobody handled it"/,
    )
  } finally {
    running.child.kill('SIGKILL')
    await running.ended
    remove()
  }
})

test('the command line wins over the file', async () => {
  const { path, remove } = folder({
    'sluice.config.ts': holding.replace(
      'export default {',
      "export default { global: { engine: 'native' }, log: { level: 'trace' },",
    ),
  })
  const running = start(['run', '--engine', 'js', '--log-level', 'silent'], path)
  try {
    await running.sees(/js engine/)
    running.child.kill('SIGTERM')
    assert.deepEqual(await running.ended.then(({ code, stdout }) => [code, stdout]), [0, ''])
  } finally {
    running.child.kill('SIGKILL')
    await running.ended
    remove()
  }
})

test("'--log-format pretty' in a pipe: text with the date, colours where FORCE_COLOR says so", async () => {
  const { path, remove } = folder({ 'sluice.config.ts': holding })
  try {
    for (const [env, expected] of [
      [
        {},
        /^\d{4}-\d\d-\d\dT[\d:.]+Z 127\.0\.0\.1:\d+ web > app\/a {2}\d+ ms .* client\/data\/done\n$/,
      ],
      [{ FORCE_COLOR: '1' }, /^.\[2m\d{4}-\S+Z.\[0m 127\.0\.0\.1:\d+ web > app/],
    ] as const) {
      const args = ['run', '--engine', 'js', '--log-format', 'pretty']
      const running = start(args, path, { NO_COLOR: '', ...env })
      try {
        const port = Number((await running.sees(/127\.0\.0\.1:(\d+)/))[1])
        const socket = connect(port, '127.0.0.1')
        await once(socket, 'data')
        socket.end()
        await once(socket, 'close')
        running.child.kill('SIGTERM')
        const { code, stdout } = await running.ended
        assert.equal(code, 0)
        assert.match(stdout, expected)
      } finally {
        running.child.kill('SIGKILL')
        await running.ended
      }
    }
  } finally {
    remove()
  }
})
