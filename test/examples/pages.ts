/** Runs what pages of the documentation show. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { main, repository } from '../cli/spawn.js'

/** A page of docs/. */
export function page(name: string): string {
  return readFileSync(join(repository, `docs/${name}.md`), 'utf8')
}

/** Code blocks of a language, in order. */
export function blocks(text: string, language: string): string[] {
  const pattern = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms')
  return [...text.matchAll(pattern)].map(([, code]) => code as string)
}

export interface Place {
  path: string
  env: NodeJS.ProcessEnv
}

/** A folder in which `sluice` is a program, and a package. */
export function place(t: TestContext): Place {
  const path = mkdtempSync(join(tmpdir(), 'sluice-docs-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  mkdirSync(join(path, 'bin'))
  const program = join(path, 'bin/sluice')
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`)
  chmodSync(program, 0o755)
  mkdirSync(join(path, 'node_modules'))
  symlinkSync(repository, join(path, 'node_modules/sluice'))
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  return { path, env: { ...env, PATH: `${join(path, 'bin')}:${env.PATH}` } }
}

/** Runs a script; resolves with what it wrote. Nothing that it starts outlives the test. */
export async function bash(t: TestContext, script: string, { path, env }: Place): Promise<string> {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: path,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  t.after(() => {
    try {
      process.kill(-(child.pid as number), 'SIGKILL')
    } catch {
      // All have ended.
    }
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const [code] = await once(child, 'close')
  assert.equal(code, 0, `${script}\n${output}`)
  return output
}
