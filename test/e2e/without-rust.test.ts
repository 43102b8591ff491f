/** A machine without Rust: the build says so and succeeds, and Sluice runs on the js engine. */

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { repository } from '../cli/spawn.js'
import { needs, runProgram } from '../interop/support/programs.js'
import { until } from '../interop/support/sluice.js'

needs('curl')

const CONFIG = `
import { staticReply } from 'sluice/policy'

export default {
  frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
  backends: { app: { servers: { a: staticReply('HTTP/1.0 200 OK\\r\\n\\r\\nstill here\\n') } } },
}
`

const builder = join(repository, 'crates/addon/build.mjs')
/** Node and nothing else. */
let path: string
/** The package as it is built without the addon. */
let copy: string

before(() => {
  path = mkdtempSync(join(tmpdir(), 'sluice-path-'))
  symlinkSync(process.execPath, join(path, 'node'))
  copy = mkdtempSync(join(tmpdir(), 'sluice-copy-'))
  cpSync(join(repository, 'package.json'), join(copy, 'package.json'))
  cpSync(join(repository, 'dist'), join(copy, 'dist'), {
    recursive: true,
    filter: (source) => !source.endsWith('.node') && !source.endsWith('binding.cjs'),
  })
  symlinkSync(join(repository, 'node_modules'), join(copy, 'node_modules'))
})

after(() => {
  for (const directory of [path, copy]) rmSync(directory, { recursive: true, force: true })
})

async function build(env: NodeJS.ProcessEnv): Promise<{ code: number; stderr: string }> {
  const options = { env: { PATH: path, ...env } }
  try {
    const { stderr } = await promisify(execFile)(process.execPath, [builder], options)
    return { code: 0, stderr }
  } catch (error) {
    const { code, stderr } = error as { code: number; stderr: string }
    return { code, stderr }
  }
}

test('the build succeeds and says why there is no native engine, and how to get it', async () => {
  const { code, stderr } = await build({})
  assert.equal(code, 0, stderr)
  assert.match(stderr, /THE NATIVE ENGINE WAS NOT BUILT: cargo was not found/)
  assert.match(stderr, /js engine/)
  assert.match(stderr, /install Rust .*rustup\.rs.*npm run build:addon/)
})

test('where the addon is required, the build fails', async () => {
  const { code, stderr } = await build({ SLUICE_REQUIRE_ADDON: '1' })
  assert.equal(code, 1)
  assert.match(stderr, /THE NATIVE ENGINE WAS NOT BUILT/)
})

test('installing needs no Rust: no script runs at install', () => {
  const { scripts } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) {
    assert.equal(scripts[name], undefined, `${name} runs at 'npm ci'`)
  }
})

/** Runs the copy until `seen` says stop; what it wrote. */
async function run(engine: string, seen: (output: string) => Promise<void>): Promise<Run> {
  const main = join(copy, 'dist/cli/main.js')
  const config = join(copy, 'sluice.config.mjs')
  writeFileSync(config, CONFIG)
  const child = spawn(process.execPath, [main, 'run', '--engine', engine, '-c', config], {
    cwd: dirname(config),
  })
  const all: Run = { code: undefined, stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    all.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    all.stderr += text
  })
  const closed = new Promise<void>((resolve) => {
    child.on('close', (code) => {
      all.code = code
      resolve()
    })
  })
  try {
    await until(
      () => all.code !== undefined || /listens on/.test(all.stderr),
      () => JSON.stringify(all),
    )
    await seen(all.stderr)
  } finally {
    child.kill('SIGTERM')
    await closed
  }
  return all
}

interface Run {
  code: number | null | undefined
  stdout: string
  stderr: string
}

test('run takes the js engine, with one loud warning that says why and how', async () => {
  const { code, stdout, stderr } = await run('auto', async (output) => {
    const port = /127\.0\.0\.1:(\d+)/.exec(output)?.[1]
    const reply = await runProgram('curl', ['-sS', `http://127.0.0.1:${port}/`])
    assert.equal(reply.stdout, 'still here\n')
  })
  assert.equal(code, 0)
  assert.match(stderr, /js engine/)
  const lines = stdout.split('\n').filter((line) => line !== '')
  const warnings = lines
    .map((line) => JSON.parse(line) as { level: number; msg: string })
    .filter(({ level }) => level >= 40)
  assert.equal(warnings.length, 1, stdout)
  assert.match(warnings[0]?.msg ?? '', /SLOW ENGINE.*has not been built.*rustup\.rs.*build:addon/)
})

test('the js engine on purpose gets no warning', async () => {
  const { code, stdout } = await run('js', async () => {})
  assert.equal(code, 0)
  assert.equal(stdout, '')
})

test('the native engine on purpose does not start: 3, and why', async () => {
  const { code, stderr } = await run('native', async () => {})
  assert.equal(code, 3)
  assert.match(stderr, /native addon does not load: it has not been built/)
})
