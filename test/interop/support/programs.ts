/** Programs of the system that the interop tests run, and where Debian has them. */

import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Program to Debian package. */
const packages = {
  curl: 'curl',
  danted: 'dante-server',
  haproxy: 'haproxy',
  microsocks: 'microsocks',
  nginx: 'nginx',
  openssl: 'openssl',
  'redis-benchmark': 'redis-tools',
  'redis-cli': 'redis-tools',
  'redis-server': 'redis-server',
  'systemd-socket-activate': 'systemd',
} as const

export type Program = keyof typeof packages

/** Daemons live in directories that are not in everybody's PATH. */
const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin']

/** Path of a program; throws with the line that installs it. */
export function findProgram(program: Program): string {
  for (const directory of directories) {
    const path = join(directory, program)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not here.
    }
  }
  const name = packages[program]
  throw new Error(`${program} is missing. Install it: apt-get install -y ${name}`)
}

export interface Output {
  code: number
  stdout: string
  stderr: string
}

/** Longest run of a client, in ms; longer is a failure. */
const PATIENCE = 60_000

/** Runs a client to its end. `input`: what it reads on stdin. Never rejects for an exit code. */
export function runProgram(
  program: Program,
  args: readonly string[],
  input?: string,
): Promise<Output> {
  return new Promise((resolve, reject) => {
    const options = { timeout: PATIENCE, maxBuffer: 64 * 1024 * 1024 }
    const child = execFile(findProgram(program), args, options, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') {
        reject(new Error(`${program} ${args.join(' ')}: ${error.message}`, { cause: error }))
      } else resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    })
    child.stdin?.on('error', () => {})
    child.stdin?.end(input ?? '')
  })
}

/**
 * Exit codes of curl for a connection that was closed before the reply: nothing
 * came (52), or a reset met the request on its way out (55) or the reply (56).
 */
export const CURL_CLOSED: readonly number[] = [52, 55, 56]
