import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkMachine, warnOfMachine } from '#sluice/cli/machine.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { Config } from '#sluice/config/types.js'
import { ConfigError, createProxy } from '#sluice/index.js'
import { folder, sluice, start } from './spawn.js'

const written = (log?: string, bind = '127.0.0.1:0'): Config => ({
  global: { engine: 'js' },
  frontends: { web: { bind, backend: 'app' } },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
  ...(log === undefined ? {} : { log: { file: log } }),
})

/** Files that cannot be written, also by root, and what is said of them. */
const unwritable: [string, RegExp][] = [
  ['.', /log\.file: \S+ cannot be written: it is a folder; name a file in it\./],
  ['file/a.log', /log\.file: \S+file\/a\.log cannot be written: a part of its path is a file/],
  ['file/a/b.log', /log\.file: \S+file\/a\/b\.log cannot be written: a part of its path is a file/],
  ['/proc/a.log', /log\.file: \/proc\/a\.log cannot be written: /],
  ['/proc/a/b/c.log', /log\.file: \/proc\/a\/b\/c\.log cannot be written: /],
  ['/sys/a.log', /log\.file: \/sys\/a\.log cannot be written: /],
]

for (const [file, expected] of unwritable) {
  const skip = process.platform !== 'linux' && file.startsWith('/') ? 'needs Linux' : false
  test(`a log file at ${file} ends check and start, before anything listens`, {
    skip,
  }, async () => {
    const { path, remove } = folder({
      file: 'text',
      'sluice.config.json': JSON.stringify(written(file)),
    })
    try {
      for (const command of ['check', 'run']) {
        const { code, stdout, stderr } = await sluice([command], path)
        assert.equal(code, 1, stderr)
        assert.equal(stdout, '')
        assert.match(stderr, /^sluice\.config\.json: 1 error\n/)
        assert.match(stderr, expected)
        assert.doesNotMatch(stderr, /listens/)
      }
      assert.deepEqual(readdirSync(path).sort(), ['file', 'sluice.config.json'])
    } finally {
      remove()
    }
  })
}

test('a log file of somebody else', { skip: process.getuid?.() === 0 ? 'root may' : false }, () => {
  const issues = checkMachine(resolveConfig(written('/etc/sluice.log')))
  assert.match(issues[0]?.message ?? '', /^\/etc\/sluice\.log cannot be written: no permission\.$/)
})

test('a log file that is not there yet: check leaves nothing, start makes its folders', async () => {
  const { path, remove } = folder({
    'sluice.config.json': JSON.stringify(written('logs/deep/a.log')),
  })
  try {
    assert.equal((await sluice(['check'], path)).code, 0)
    assert.deepEqual(readdirSync(path), ['sluice.config.json'])
    const running = start(['run'], path)
    await running.sees(/listens on/)
    running.child.kill('SIGTERM')
    assert.equal((await running.ended).code, 0)
    assert.ok(existsSync(join(path, 'logs/deep/a.log')))
    // What is there is appended to, and checked without a change.
    writeFileSync(join(path, 'logs/deep/a.log'), 'kept\n')
    assert.equal((await sluice(['check'], path)).code, 0)
    assert.deepEqual(readdirSync(join(path, 'logs/deep')), ['a.log'])
  } finally {
    remove()
  }
})

test('devices and pipes may take the log; a socket may not', async () => {
  const { path, remove } = folder()
  const server = createServer()
  try {
    const of = (file: string) => checkMachine(resolveConfig(written(file)))
    assert.deepEqual(of('/dev/null'), [])
    const pipe = join(path, 'pipe')
    spawnSync('mkfifo', [pipe])
    assert.deepEqual(of(pipe), [], 'nobody reads it yet')
    const socket = join(path, 'socket')
    await new Promise<void>((resolve) => server.listen(socket, resolve))
    assert.match(of(socket)[0]?.message ?? '', /it is a socket or a device that takes no log\.$/)
  } finally {
    server.close()
    remove()
  }
})

test('the library: createProxy throws, and a logger of the program needs no file', () => {
  const logger = createProxy(written()).logger
  createProxy(written('/'), { logger })
  assert.throws(
    () => createProxy(written('/')),
    (error: unknown) => {
      assert.ok(error instanceof ConfigError)
      assert.deepEqual(error.issues, [
        { path: 'log.file', message: '/ cannot be written: it is a folder; name a file in it.' },
      ])
      return true
    },
  )
})

test('check: where a unix socket cannot be', async () => {
  const { path, remove } = folder({ file: 'text' })
  const server = createServer()
  try {
    mkdirSync(join(path, 'there'))
    const of = (name: string) =>
      checkMachine(resolveConfig(written(undefined, `unix:${join(path, name)}`)))
    const only = (name: string) => {
      const issues = of(name)
      assert.equal(issues.length, 1)
      assert.equal(issues[0]?.path, 'frontends.web.bind')
      return issues[0]?.message ?? ''
    }
    assert.deepEqual(of('there/a.sock'), [])
    assert.match(only('missing/a.sock'), /: the folder \S+\/missing does not exist\.$/)
    assert.match(only('file/a.sock'), /file is no folder|ENOTDIR/)
    assert.match(only('file'), /: there is something else, which is no socket\.$/)
    assert.match(only('there'), /: there is something else, which is no socket\.$/)
    await new Promise<void>((resolve) => server.listen(join(path, 'old.sock'), resolve))
    assert.deepEqual(of('old.sock'), [], 'one that is there is replaced, or in use')
  } finally {
    server.close()
    remove()
  }
})

test('check: an interface that is not there', {
  skip: process.platform === 'linux' ? false : 'needs Linux',
}, async () => {
  const scoped = (name: string) => written(undefined, `[fe80::1%${name}]:8080`)
  assert.deepEqual(checkMachine(resolveConfig(scoped('lo'))), [])
  assert.deepEqual(checkMachine(resolveConfig(scoped('1'))), [], 'the kernel takes a number')
  const message = "cannot listen on [fe80::1%nosuch0]:8080: there is no interface 'nosuch0'."
  assert.deepEqual(checkMachine(resolveConfig(scoped('nosuch0'))), [
    { path: 'frontends.web.bind', message },
  ])
  const server = (backends: Config['backends']) =>
    warnOfMachine(resolveConfig({ ...written(), backends }))
  const app = (a: Record<string, unknown>) => ({ app: { servers: { a: a as never } } })
  const why = "there is no interface 'nosuch0': connects to it fail until there is one."
  const expected = [{ path: 'backends.app.servers.a', message: why }]
  assert.deepEqual(server(app({ address: '[fe80::1%nosuch0]:1' })), expected)
  assert.deepEqual(server(app({ address: '[::1]:1', source: 'fe80::1%nosuch0' })), expected)
  assert.deepEqual(server(app({ address: '[fe80::1%lo]:1' })), [])
})
