/** Runs the built command line in a folder of its own. */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const main = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))
export const repository = fileURLToPath(new URL('../../../', import.meta.url))

/** A new folder with these files; `remove` it at the end. */
export function folder(files: Record<string, string> = {}): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'sluice-cli-'))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
  return { path, remove: () => rmSync(path, { recursive: true }) }
}

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

export interface Running {
  child: ChildProcess
  /** Resolves with the match once stderr has one; rejects where the process ends before. */
  sees(pattern: RegExp): Promise<RegExpExecArray>
  ended: Promise<Ended>
}

export function start(args: string[], cwd: string, env: NodeJS.ProcessEnv = {}): Running {
  const { DEBUG: _, ...inherited } = process.env
  const child = spawn(process.execPath, [main, ...args], { cwd, env: { ...inherited, ...env } })
  let stdout = ''
  let stderr = ''
  let check = () => {}
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk
    check()
  })
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
  const sees = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      check = () => {
        const match = pattern.exec(stderr)
        if (match) resolve(match)
      }
      check()
      ended.then(
        (end) => reject(new Error(`ended without ${pattern}: ${JSON.stringify(end)}`)),
        reject,
      )
    })
  return { child, sees, ended }
}

export function sluice(args: string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return start(args, cwd, env).ended
}
