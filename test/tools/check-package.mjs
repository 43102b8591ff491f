// Checks the package as its users get it: publint on the exports map, attw on
// what resolves to which types, then the packed tarball installed in an empty
// folder, imported, type-checked and run.
//
//   node test/tools/check-package.mjs      after `npm run build`

import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const bin = join(root, 'node_modules/.bin')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const folder = mkdtempSync(join(tmpdir(), 'sluice-package-'))

function run(command, args, cwd = folder) {
  try {
    return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')}\n${error.stdout ?? ''}${error.stderr ?? error}`)
  }
}

function check(what, condition, detail = '') {
  if (!condition) throw new Error(`${what}: no\n${detail}`)
  console.log(`ok: ${what}`)
}

const USE = `
import { createProxy, defineConfig, type SessionRecord } from 'sluice'
import { blocklist } from 'sluice/plugins/blocklist'
import { type Connection, reject, staticReply } from 'sluice/policy'
import { createTestProxy } from 'sluice/testing'

const config = defineConfig({
  global: { engine: 'js' },
  frontends: {
    web: {
      bind: '127.0.0.1:0',
      backend: 'app',
      use: [blocklist({ networks: ['192.0.2.0/24'] })],
      rules: { connection: [(conn: Connection) => (conn.srcPort === 1 ? reject() : undefined)] },
    },
  },
  backends: { app: { servers: { a: staticReply('hello') } } },
  log: { level: 'silent' },
})
const proxy = createProxy(config)
proxy.on('session', (record: SessionRecord) => record.code)
await proxy.start()
await proxy.stop()
console.log(typeof createTestProxy, proxy.engineKind)
`

try {
  run(join(bin, 'publint'), ['--strict', root], root)
  console.log('ok: publint --strict')

  const packed = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', folder], root))
  // npm 11 answers with a list, newer ones with an object by package name.
  const [{ filename, files, size }] = Array.isArray(packed) ? packed : Object.values(packed)
  console.log(`ok: npm pack: ${files.length} files, ${(size / 1024 / 1024).toFixed(1)} MB`)
  const stray = files.filter(
    ({ path }) => !/^(dist\/|docs\/[\w-]+\.md$|README\.md$|LICENSE$|package\.json$)/.test(path),
  )
  check('only what users need is packed', stray.length === 0, JSON.stringify(stray))

  // The package is ESM and has an exports map, so node10 resolution and require() are
  // not expected to work. Without asking the registry for @types of the same name.
  run(join(bin, 'attw'), [
    ...['--profile', 'esm-only', '--no-definitely-typed', '--no-emoji', '--format', 'ascii'],
    join(folder, filename),
  ])
  console.log('ok: attw --profile esm-only')

  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', private: true }))
  run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', join(folder, filename)])
  const installed = join(folder, 'node_modules/sluice')
  const named = run(process.execPath, [join(root, 'dist/cli/main.js'), '--help']).match(
    /docs\/[\w-]+\.md/g,
  )
  const missing = (named ?? ['nothing']).filter((doc) => !files.some(({ path }) => path === doc))
  check('the pages that --help names are packed', missing.length === 0, missing.join(', '))
  check('the tarball installs', existsSync(join(installed, 'dist/index.js')))

  writeFileSync(join(folder, 'use.ts'), USE)
  run(join(bin, 'tsc'), [
    ...['--module', 'nodenext', '--target', 'es2022', '--lib', 'es2023,esnext.disposable'],
    ...['--strict', '--skipLibCheck', 'false', '--types', 'node'],
    ...['--typeRoots', join(root, 'node_modules/@types'), 'use.ts'],
  ])
  console.log('ok: its types compile in a strict project')
  const said = run(process.execPath, ['use.js']).trim()
  check(
    "'sluice', 'sluice/policy' and 'sluice/testing' import and run",
    said === 'function js',
    said,
  )

  const version = run(join(folder, 'node_modules/.bin/sluice'), ['--version'])
  check('sluice --version', version.includes(manifest.version), version)
  const native = readdirSync(join(root, 'dist/engine/native')).some((name) =>
    name.endsWith('.node'),
  )
  if (native) check('the installed addon loads', /engines\s+native, js/.test(version), version)

  run(join(folder, 'node_modules/.bin/sluice'), ['init'])
  const checked = run(join(folder, 'node_modules/.bin/sluice'), ['check'])
  check('sluice init, sluice check', checked.includes(': ok: '), checked)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
