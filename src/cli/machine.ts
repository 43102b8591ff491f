/** What a configuration needs of the machine that it runs on, for `sluice check`. */

import { accessSync, constants, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { ConfigIssue } from '../base/errors.js'
import type { ResolvedConfig } from '../config/resolved.js'
import { checkLogFile } from '../log/file.js'

/** Files and folders that the start would miss. Certificates are looked at elsewhere. */
export function checkMachine(config: ResolvedConfig): ConfigIssue[] {
  const issues: ConfigIssue[] = []
  for (const { binds } of config.frontends) {
    for (const { address, path } of binds) {
      const why = address.kind === 'unix' ? socketProblem(address.path) : undefined
      if (why) issues.push({ path, message: why })
    }
  }
  const log = config.log.file === undefined ? undefined : checkLogFile(config.log.file)
  return log ? [...issues, log] : issues
}

/** Why there can be no socket at `path`; a socket that is there may be an old one, and is replaced. */
function socketProblem(path: string): string | undefined {
  // An abstract socket is no file.
  if (path.startsWith('@')) return undefined
  const folder = dirname(resolve(path))
  const wrong = (why: string) => `cannot listen on unix:${path}: ${why}.`
  try {
    const there = statSync(path, { throwIfNoEntry: false })
    if (there && !there.isSocket()) return wrong('there is something else, which is no socket')
    if (!statSync(folder).isDirectory()) return wrong(`${folder} is no folder`)
    accessSync(folder, constants.W_OK | constants.X_OK)
    return undefined
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return wrong(`the folder ${folder} does not exist`)
    if (code === 'EACCES') return wrong(`no permission for the folder ${folder}`)
    return wrong(message)
  }
}
