/** The loader, and the contract that both sides were made from. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadBinding } from '#sluice/engine/native/load.js'
import { WIRE_VERSION } from '#sluice/wire/wire.js'
import { boundaryTest } from './support.js'

boundaryTest('an addon of another contract is refused, with what to do', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  const path = join(folder, 'binding.cjs')
  writeFileSync(path, `exports.wireVersion = () => ${WIRE_VERSION ^ 1}\n`)
  assert.throws(() => loadBinding(path), {
    code: 'ERR_SLUICE_ABI_MISMATCH',
    message: /rebuild it with 'npm run build:addon'/,
  })
  rmSync(folder, { recursive: true })
})

boundaryTest('an addon that is not there, or does not load, says so', async () => {
  assert.throws(() => loadBinding('/nowhere/binding.cjs'), {
    code: 'ERR_SLUICE_ENGINE',
    message: /does not load: there is no \/nowhere\/binding\.cjs/,
  })
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  const path = join(folder, 'broken.node')
  writeFileSync(path, 'not a shared library')
  assert.throws(() => loadBinding(path), { code: 'ERR_SLUICE_ENGINE', message: /does not load/ })
  rmSync(folder, { recursive: true })
})

boundaryTest('a file that is something else is told apart', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  const path = join(folder, 'other.cjs')
  writeFileSync(path, 'exports.hello = 1\n')
  assert.throws(() => loadBinding(path), {
    code: 'ERR_SLUICE_ENGINE',
    message: /other\.cjs is not the addon of Sluice/,
  })
  rmSync(folder, { recursive: true })
})

/** The loader as a bundler leaves it: in a file of its own, elsewhere. `url`: what it makes of import.meta.url. */
function bundle(folder: string, url: string): string {
  const dist = new URL('../../../dist/', import.meta.url)
  const path = join(folder, 'bundle.mjs')
  const loader = new URL('engine/native/load.js', dist)
  const text = readFileSync(loader, 'utf8')
    .replace(/from '(\.[^']+)'/g, (_, from) => `from '${new URL(from, loader)}'`)
    .replaceAll('import.meta.url', url)
  const use =
    'try { console.log(loadBinding().wireVersion()) } catch (e) { console.log(e.message) }'
  writeFileSync(path, `${text}\n${use}\n`)
  return path
}

for (const [format, url] of [
  ['ESM', 'import.meta.url'],
  ['CommonJS', '({}).url'],
] as const) {
  boundaryTest(
    `in a bundle (${format}) the message names bundlers, and SLUICE_ADDON helps`,
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
      const path = bundle(folder, url)
      const { SLUICE_ADDON: _, ...env } = process.env
      const runs = (addon?: string) =>
        spawnSync(process.execPath, [path], {
          cwd: folder,
          env: { ...env, ...(addon && { SLUICE_ADDON: addon }) },
          encoding: 'utf8',
        }).stdout.trim()
      assert.match(runs(), /does not load: .*bundler.*--external:sluice.*SLUICE_ADDON=/)
      const native = fileURLToPath(new URL('../../../dist/engine/native/', import.meta.url))
      const addon = readdirSync(native).find((name) => name.endsWith('.node')) as string
      assert.equal(runs(join(native, addon)), String(WIRE_VERSION))
      // From the working directory, as a path in the environment is.
      assert.equal(runs(relative(folder, join(native, addon))), String(WIRE_VERSION))
      assert.match(runs('missing.node'), /there is no .*\/missing\.node/)
      rmSync(folder, { recursive: true })
    },
  )
}

boundaryTest('the addon speaks the contract of this package', async () => {
  assert.equal(loadBinding().wireVersion(), WIRE_VERSION)
})

boundaryTest('src/wire/wire.ts is what crates/wire generates', async () => {
  const root = new URL('../../../', import.meta.url)
  const args = ['run', '-q', '-p', 'sluice-wire', '--bin', 'generate', '--', '--check']
  const outcome = spawnSync('cargo', args, { cwd: root, encoding: 'utf8' })
  assert.equal(outcome.status, 0, outcome.stderr)
  const source = readFileSync(new URL('src/wire/wire.ts', root), 'utf8')
  assert.ok(source.includes(`export const WIRE_VERSION = ${WIRE_VERSION}`), 'dist is out of date')
})
