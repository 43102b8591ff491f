/** Units of systemd, and the first process of a container. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { bash, blocks, page, place } from '../examples/pages.js'
import { needs } from './support/programs.js'

needs('systemd-analyze', 'unshare')

const deployment = page('deployment')

test('the units are right, as systemd has them', (t) => {
  const { path } = place(t)
  const units = blocks(deployment, 'ini')
  assert.equal(units.length, 2)
  const files = units.map((unit) => {
    const name = /^# \/etc\/systemd\/system\/(sluice\.\w+)$/m.exec(unit)?.[1] as string
    const file = join(path, name)
    writeFileSync(file, unit.replace('/usr/local/bin/sluice', join(path, 'bin/sluice')))
    return file
  })
  const { stdout, stderr, status } = spawnSync(
    'systemd-analyze',
    ['verify', '--man=no', ...files],
    { encoding: 'utf8' },
  )
  assert.deepEqual({ stdout, stderr, status }, { stdout: '', stderr: '', status: 0 })
})

test('the first process of a namespace handles its signals', { timeout: 60_000 }, async (t) => {
  const here = place(t)
  const [config] = blocks(deployment, 'sh')
  await bash(t, config as string, here)
  for (const signal of ['TERM', 'INT']) {
    const script = `
      PORT=0 unshare --user --map-root-user --fork --pid --kill-child sluice run -c sluice.config.mjs 2>pid1-${signal}.txt & outside=$!
      until grep -qs 'listens on' pid1-${signal}.txt; do sleep 0.1; done
      grep -q ', pid 1$' pid1-${signal}.txt
      # unshare's child, which is 1 inside.
      kill -${signal} "$(cat /proc/$outside/task/$outside/children)"
      wait $outside
      grep -q 'SIG${signal}: stopping' pid1-${signal}.txt
    `
    await bash(t, script, here)
  }
})

test('the first process of a namespace ends by a signal while it loads', {
  timeout: 60_000,
}, async (t) => {
  const here = place(t)
  // It holds the start up before anything of ours runs but the first lines.
  const script = `
    echo "process.stderr.write('loading')" >hold.mjs
    echo "await new Promise((r) => setTimeout(r, 1e8))" >>hold.mjs
    for signal in TERM INT; do
      unshare --user --map-root-user --fork --pid --kill-child sluice check -c hold.mjs 2>hold-$signal.txt & outside=$!
      until grep -qs loading hold-$signal.txt; do sleep 0.1; done
      kill -$signal "$(cat /proc/$outside/task/$outside/children)"
      wait $outside && exit 1 || echo $?
    done
  `
  assert.equal(await bash(t, script, here), '143\n130\n')
})
