/** Programs of the system that the interop tests run, and where Debian has them. */

import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Program to Debian package. 'nginx-stream' is a module of nginx. */
const packages = {
  curl: 'curl',
  danted: 'dante-server',
  haproxy: 'haproxy',
  ip: 'iproute2',
  microsocks: 'microsocks',
  nft: 'nftables',
  nginx: 'nginx',
  'nginx-stream': 'libnginx-mod-stream',
  openssl: 'openssl',
  'redis-benchmark': 'redis-tools',
  'redis-cli': 'redis-tools',
  'redis-server': 'redis-server',
  script: 'bsdutils',
  'systemd-analyze': 'systemd',
  'systemd-socket-activate': 'systemd',
  unshare: 'util-linux',
} as const

export type Program = keyof typeof packages

/** Daemons live in directories that are not in everybody's PATH. */
const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin']

/** Where Debian puts the modules of nginx. */
export const NGINX_STREAM = '/usr/lib/nginx/modules/ngx_stream_module.so'

/** Path of a program, or undefined where it is not installed. */
function locate(program: Program): string | undefined {
  const places =
    program === 'nginx-stream'
      ? [NGINX_STREAM]
      : directories.map((directory) => join(directory, program))
  const access = program === 'nginx-stream' ? constants.R_OK : constants.X_OK
  return places.find((path) => {
    try {
      accessSync(path, access)
      return true
    } catch {
      return false
    }
  })
}

/** Path of a program; throws with the line that installs it. */
export function findProgram(program: Program): string {
  const path = locate(program)
  if (path !== undefined) return path
  throw new Error(`${program} is missing. Install it: apt-get install -y ${packages[program]}`)
}

/** The Debian packages that would bring what is not there of these programs. */
export function missingPackages(programs: readonly string[]): string[] {
  const missing = programs.filter((program) => locate(program as Program) === undefined)
  return [...new Set(missing.map((program) => packages[program as Program] ?? program))]
}

/**
 * Says that the tests of whatever imports this module need these programs. The
 * runner (test/tools/run-tests.mjs) reads the call where it stands, so it takes
 * literals only, and leaves such files out where one is missing. Run by hand they
 * fail here, with the line that installs it.
 */
export function needs(...programs: Program[]): void {
  for (const program of programs) findProgram(program)
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
