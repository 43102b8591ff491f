import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { CheckReport } from '#sluice/cli/check.js'
import { folder, repository, sluice } from './spawn.js'

const good = `
import { defineConfig } from 'sluice'
import { echo, reject, track } from 'sluice/policy'

export default defineConfig({
  tables: { t: { key: 'ip', size: 10, store: { connRate: '1s' } } },
  frontends: {
    web: {
      bind: ['127.0.0.1:8000-8009', '[::1]:8000'],
      backend: 'app',
      rules: { connection: [track('sc0', (conn) => conn.src, 't'), () => reject()] },
    },
  },
  backends: { app: { servers: { a: echo(), b: 'localhost:1' } } },
})
`

test('check: a good configuration gets one line and 0', async () => {
  const { path, remove } = folder({ 'sluice.config.ts': good })
  try {
    assert.deepEqual(await sluice(['check'], path), {
      code: 0,
      stdout:
        'sluice.config.ts: ok: 1 frontend on 11 addresses, 1 backend with 2 servers, 1 table\n',
      stderr: '',
    })
  } finally {
    remove()
  }
})

test('check --json: one object, for right and wrong configurations', async () => {
  const table = { size: 1, key: 'ip' }
  const written = (frontend: object) => ({
    frontends: { web: { bind: '127.0.0.1:0', backend: 'app', ...frontend } },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
    tables: { left: table },
  })
  const { path, remove } = folder({
    'good.json': JSON.stringify(written({})),
    'bad.json': JSON.stringify(written({ maxcon: 5 })),
    'tls.json': JSON.stringify(
      written({ bind: { address: '127.0.0.1:0', tls: { cert: '/nowhere/a.pem' } } }),
    ),
    'broken.json': '{',
  })
  const report = async (file: string) => {
    const { code, stdout, stderr } = await sluice(['check', '--json', '-c', file], path)
    return { code, stderr, ...(JSON.parse(stdout) as CheckReport) }
  }
  try {
    const good = await report('good.json')
    assert.deepEqual([good.code, good.stderr, good.ok, good.errors], [0, '', true, []])
    assert.equal(good.file, 'good.json')
    assert.match(good.summary ?? '', /^1 frontend on 1 address/)
    assert.deepEqual(
      good.warnings.map(({ path }) => path),
      ['tables.left'],
    )
    const bad = await report('bad.json')
    assert.deepEqual([bad.code, bad.ok], [1, false])
    assert.deepEqual(bad.errors, [
      { path: 'frontends.web.maxcon', message: 'is unknown.', suggestion: 'maxconn' },
    ])
    assert.match(bad.stderr, /^bad\.json: 1 error\n/)
    const tls = await report('tls.json')
    assert.deepEqual(
      [tls.code, tls.errors.length, tls.errors[0]?.path],
      [1, 1, 'frontends.web.bind.tls'],
    )
    assert.match(tls.errors[0]?.message ?? '', /^\/nowhere\/a\.pem: /)
    const broken = await report('broken.json')
    assert.deepEqual([broken.code, broken.errors.length, broken.errors[0]?.path], [1, 1, ''])
    assert.equal((await report('missing.ts')).errors[0]?.message, 'missing.ts: no such file.')
  } finally {
    remove()
  }
})

test('check: a bad configuration gets every error with file and path, and 1', async () => {
  const { path, remove } = folder({
    'proxy.config.json': JSON.stringify({
      frontends: { web: { bind: '127.0.0.1:x', backend: 'ap', maxcon: 5 } },
      backends: { app: { servers: { a: '127.0.0.1:9001' }, retries: -1 } },
    }),
  })
  try {
    const expected = {
      code: 1,
      stdout: '',
      stderr: [
        'proxy.config.json: 4 errors',
        "  frontends.web.maxcon: is unknown. Did you mean 'maxconn'?",
        '  backends.app.retries: expected a whole number from 0 to 100, got -1.',
        "  frontends.web.backend: there is no backend named 'ap'. Did you mean 'app'?",
        "  frontends.web.bind: expected a port from 0 to 65535, got 'x'.",
        '',
      ].join('\n'),
    }
    assert.deepEqual(await sluice(['check', '-c', 'proxy.config.json'], path), expected)
    assert.deepEqual(await sluice(['run', '--config', 'proxy.config.json'], path), expected)
  } finally {
    remove()
  }
})

test('check: a file that cannot be loaded says where, without a stack unless DEBUG is set', async () => {
  const { path, remove } = folder({ 'sluice.config.mjs': '\nthrow new Error("no token")' })
  try {
    assert.deepEqual(await sluice(['check'], path), {
      code: 1,
      stdout: '',
      stderr: 'sluice.config.mjs:2: no token\n',
    })
    const debug = await sluice(['check'], path, { DEBUG: '1' })
    assert.equal(debug.code, 1)
    assert.match(
      debug.stderr,
      /sluice\.config\.mjs:2: no token\n\s+at .*\ncaused by Error: no token\n\s+at /s,
    )
  } finally {
    remove()
  }
})

test('check: no configuration', async () => {
  const { path, remove } = folder()
  try {
    const { code, stderr } = await sluice(['check'], path)
    assert.equal(code, 1)
    assert.equal(
      stderr,
      `no sluice.config.ts (or .mts, .js, .mjs, .json) in ${path}. 'sluice init' writes one, '-c FILE' names another.\n`,
    )
  } finally {
    remove()
  }
})

test('check: sockets from systemd need not be there; run needs them', async () => {
  const { path, remove } = folder({
    'sluice.config.ts': good.replace(/\['127.*1\]:8000'\]/, "'systemd'"),
  })
  try {
    const checked = await sluice(['check'], path)
    assert.equal(checked.code, 0)
    assert.match(checked.stdout, /1 frontend on 0 addresses/)
    const run = await sluice(['run', '--engine', 'js'], path)
    assert.equal(run.code, 1)
    assert.match(run.stderr, /frontends\.web\.bind: systemd passed no sockets/)
  } finally {
    remove()
  }
})

test('init: writes the quickstart, which is right, and refuses to overwrite', async () => {
  const { path, remove } = folder()
  try {
    assert.deepEqual(await sluice(['init'], path), {
      code: 0,
      stdout: "Wrote sluice.config.ts. Next: 'sluice check', then 'sluice run'.\n",
      stderr: '',
    })
    const file = join(path, 'sluice.config.ts')
    const quickstart = join(repository, 'examples/quickstart/sluice.config.ts')
    assert.equal(readFileSync(file, 'utf8'), readFileSync(quickstart, 'utf8'))
    assert.equal((await sluice(['check'], path)).code, 0)

    writeFileSync(file, 'mine')
    assert.deepEqual(await sluice(['init'], path), {
      code: 1,
      stdout: '',
      stderr: 'sluice.config.ts: is there already; --force replaces it.\n',
    })
    assert.equal(readFileSync(file, 'utf8'), 'mine')
    assert.equal((await sluice(['init', '--force'], path)).code, 0)
    assert.equal(readFileSync(file, 'utf8'), readFileSync(quickstart, 'utf8'))
  } finally {
    remove()
  }
})

test('init: JavaScript and JSON by the name, each of them right', async () => {
  const { path, remove } = folder()
  try {
    for (const name of ['proxy.mts', 'proxy.mjs', 'proxy.js', 'proxy.json']) {
      const { code, stdout } = await sluice(['init', name], path)
      assert.equal(code, 0)
      assert.equal(
        stdout,
        `Wrote ${name}. Next: 'sluice check -c ${name}', then 'sluice run -c ${name}'.\n`,
      )
      const checked = await sluice(['check', '-c', name], path)
      assert.deepEqual([checked.stderr, checked.code], ['', 0])
    }
    // JavaScript really: Node itself can read it.
    assert.doesNotMatch(
      readFileSync(join(path, 'proxy.mjs'), 'utf8'),
      /: string|: Connection|type /,
    )
  } finally {
    remove()
  }
})

test('init: a name that cannot be', async () => {
  const { path, remove } = folder()
  try {
    const { code, stderr } = await sluice(['init', 'proxy.yaml'], path)
    assert.equal(code, 1)
    assert.equal(stderr, 'proxy.yaml: expected a name that ends in .ts, .mts, .js, .mjs, .json.\n')
    const missing = await sluice(['init', 'no/folder/sluice.config.ts'], path)
    assert.equal(missing.code, 1)
    assert.equal(missing.stderr, 'no/folder/sluice.config.ts: there is no such folder.\n')
  } finally {
    remove()
  }
})

test('--version: the package, its engines, the contract', async () => {
  const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
    version: string
  }
  for (const flag of ['--version', '-v']) {
    const { code, stdout, stderr } = await sluice([flag], repository)
    assert.deepEqual([code, stderr], [0, ''])
    const [first, engines, wire, node] = stdout.split('\n')
    assert.equal(first, `sluice  ${version}`)
    assert.match(engines ?? '', /^engines (native, js|js \(native does not load: .+\))$/)
    assert.match(wire ?? '', /^wire {4}\d+$/)
    assert.equal(node, `node    ${process.version} ${process.platform}-${process.arch}`)
  }
})

test('--help teaches: examples, exit codes, where to go next', async () => {
  const { code, stdout } = await sluice(['--help'], repository)
  assert.equal(code, 0)
  for (const text of [
    'sluice init',
    'sluice check',
    'sluice run',
    'curl',
    'Exit codes',
    'docs/configuration.md',
  ]) {
    assert.ok(stdout.includes(text), text)
  }
  const run = await sluice(['run', '--help'], repository)
  assert.equal(run.code, 0)
  for (const text of ['--engine', '--workers', '--log-level', '--live', 'SIGTERM', 'Examples']) {
    assert.ok(run.stdout.includes(text), text)
  }
})

test('a wrong command line: 2, with what was meant', async () => {
  const cases: [string[], RegExp][] = [
    [['chek'], /unknown command 'chek'\n\(Did you mean check\?\)/],
    [['run', '--worker', '2'], /unknown option '--worker'\n\(Did you mean --workers\?\)/],
    [['run', '--workers', '0'], /Expected a whole number from 1 to 256/],
    [['run', '--engine', 'nativ'], /Allowed choices are native, js, auto/],
    [
      ['check', 'file.ts'],
      /too many arguments.*\n\('-c FILE' names the configuration; 'sluice check --help'/,
    ],
    [[], /Usage: sluice/],
  ]
  for (const [args, message] of cases) {
    const { code, stderr } = await sluice(args, repository)
    assert.equal(code, 2, args.join(' '))
    assert.match(stderr, message)
  }
})

test('check and run: a configuration that is never done is told, as is a folder', async () => {
  const { path, remove } = folder({
    'await.mjs': 'await new Promise(() => {})\nexport default {}\n',
    'promise.ts': 'export default new Promise(() => {})\n',
  })
  mkdirSync(join(path, 'folder.json'))
  try {
    for (const command of ['check', 'run']) {
      for (const name of ['await.mjs', 'promise.ts']) {
        const { code, stderr } = await sluice([command, '-c', name], path)
        assert.equal(stderr, `${name}: waits for a promise that nothing resolves.\n`)
        assert.equal(code, 1)
      }
      const { code, stderr } = await sluice([command, '-c', 'folder.json'], path)
      assert.equal(stderr, 'folder.json: is a folder; name the file in it.\n')
      assert.equal(code, 1)
    }
  } finally {
    remove()
  }
})

test('check and run: what a getter of a configuration throws is told with its place', async () => {
  const { path, remove } = folder({
    'getter.mjs': `export default {
  frontends: { web: { bind: ':1', get backend() { throw new Error('no backend today') } } },
  backends: { app: { servers: { a: '127.0.0.1:1' } } },
}`,
    'proxy.mjs': `const get = () => { throw new Error('nothing to get') }
export default { frontends: new Proxy({}, { get }), backends: {} }`,
  })
  try {
    for (const command of ['check', 'run']) {
      for (const [name, message] of [
        ['getter.mjs', 'getter.mjs:2: no backend today\n'],
        ['proxy.mjs', 'proxy.mjs:1: nothing to get\n'],
      ] as const) {
        const { code, stderr } = await sluice([command, '-c', name], path)
        assert.equal(stderr, message)
        assert.equal(code, 1)
      }
    }
  } finally {
    remove()
  }
})

test('a rejection that a configuration leaves unhandled', async () => {
  const valid = `export default {
  frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
}
`
  const { path, remove } = folder({
    'at-once.mjs': `Promise.reject(new Error('no such table'))\n${valid}`,
    'late.mjs': `const load = async () => {\n  await null\n  throw new Error('no such table')\n}\nload()\n${valid}`,
    'word.mjs': `Promise.reject('no such table')\n${valid}`,
  })
  try {
    for (const command of ['check', 'run']) {
      for (const name of ['at-once.mjs', 'late.mjs', 'word.mjs']) {
        const { code, stdout, stderr } = await sluice([command, '-c', name], path)
        const said = ': a promise was rejected and nobody handled it: no such table'
        assert.match(stderr, new RegExp(`^${name.replace('.', '[.]')}(:\\d+)?${said}\\n$`))
        assert.equal(stdout, '')
        assert.equal(code, 1)
      }
    }
  } finally {
    remove()
  }
})
