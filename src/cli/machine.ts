/** What a configuration needs of the machine that it runs on, for `sluice check`. */

import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { ListenAddress } from '../address/bind.js'
import { scopeOf } from '../address/text.js'
import type { ConfigIssue } from '../base/errors.js'
import { show } from '../base/units.js'
import type { ResolvedConfig } from '../config/resolved.js'
import { listenRefused } from '../engine/listen-error.js'
import { checkLogFile } from '../log/file.js'

/** Files, folders and interfaces that the start would miss. Certificates are looked at elsewhere. */
export function checkMachine(config: ResolvedConfig): ConfigIssue[] {
  const issues: ConfigIssue[] = []
  for (const { binds } of config.frontends) {
    for (const { address, path } of binds) {
      const why = listenProblem(address)
      if (why) issues.push({ path, message: listenRefused(address, why).message })
    }
  }
  const log = config.log.file === undefined ? undefined : checkLogFile(config.log.file)
  return log ? [...issues, log] : issues
}

/** Servers that nothing can reach as this machine is now; it may be another one that serves. */
export function warnOfMachine(config: ResolvedConfig): ConfigIssue[] {
  return config.backends.flatMap(({ name: backend, servers }) =>
    servers.flatMap(({ name, address, source, socks }): ConfigIssue[] => {
      const fixed = source === 'client' ? undefined : source
      const target = address.kind === 'ip' ? address : undefined
      const missing = [target, fixed, socks]
        .map((one) => missingInterface(one?.ip ?? ''))
        .find(Boolean)
      if (missing === undefined) return []
      const path = `backends.${backend}.servers.${name}`
      return [{ path, message: `${missing}: connects to it fail until there is one.` }]
    }),
  )
}

function listenProblem(address: ListenAddress): string | undefined {
  if (address.kind === 'unix') return socketProblem(address.path)
  return address.kind === 'tcp' ? missingInterface(address.host) : undefined
}

/** Says that the interface of a scoped address is not there; undefined also where nobody knows. */
function missingInterface(ip: string): string | undefined {
  const name = scopeOf(ip).slice(1)
  // The kernel takes a number as it is, and lists no numbers.
  if (name === '' || /^\d+$/.test(name)) return undefined
  const known = interfaces()
  return known && !known.includes(name) ? `there is no interface ${show(name)}` : undefined
}

/** Names of every interface, up or down, of this network namespace (os.networkInterfaces() has those with addresses). */
function interfaces(): string[] | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    const lines = readFileSync('/proc/self/net/dev', 'utf8').split('\n')
    return lines.flatMap((line) => /^\s*([^\s:]+):/.exec(line)?.[1] ?? [])
  } catch {
    return undefined
  }
}

/** Why there can be no socket at `path`; a socket that is there may be an old one, and is replaced. */
function socketProblem(path: string): string | undefined {
  // An abstract socket is no file.
  if (path.startsWith('@')) return undefined
  const folder = dirname(resolve(path))
  try {
    const there = statSync(path, { throwIfNoEntry: false })
    if (there && !there.isSocket()) return 'there is something else, which is no socket'
    if (!statSync(folder).isDirectory()) return `${folder} is no folder`
    accessSync(folder, constants.W_OK | constants.X_OK)
    return undefined
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return `the folder ${folder} does not exist`
    if (code === 'EACCES') return `no permission for the folder ${folder}`
    return message
  }
}
