/** The loader, and the contract that both sides were made from. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadBinding } from '#sluice/engine/native/load.js'
import { WIRE_VERSION } from '#sluice/engine/wire.js'
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
    message: /it has not been built/,
  })
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  const path = join(folder, 'broken.node')
  writeFileSync(path, 'not a shared library')
  assert.throws(() => loadBinding(path), { code: 'ERR_SLUICE_ENGINE', message: /does not load/ })
  rmSync(folder, { recursive: true })
})

boundaryTest('the addon speaks the contract of this package', async () => {
  assert.equal(loadBinding().wireVersion(), WIRE_VERSION)
})

boundaryTest('src/engine/wire.ts is what crates/wire generates', async () => {
  const root = new URL('../../../', import.meta.url)
  const args = ['run', '-q', '-p', 'sluice-wire', '--bin', 'generate', '--', '--check']
  const outcome = spawnSync('cargo', args, { cwd: root, encoding: 'utf8' })
  assert.equal(outcome.status, 0, outcome.stderr)
  const source = readFileSync(new URL('src/engine/wire.ts', root), 'utf8')
  assert.ok(source.includes(`export const WIRE_VERSION = ${WIRE_VERSION}`), 'dist is out of date')
})
