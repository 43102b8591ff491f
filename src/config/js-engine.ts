/** What `engine: 'js'` cannot do, told before the start: docs/engines.md has the reasons. */

import { bind as bindSection } from '../options/bind.js'
import { namesOf } from '../options/section.js'
import { server as serverSection } from '../options/server.js'
import type { Issues } from './issues.js'
import type { ResolvedBackend, ResolvedBind, ResolvedFrontend, ResolvedServer } from './resolved.js'

const WHY = "is not possible with global.engine 'js'; the native engine has it."

const BIND_OPTIONS = namesOf(bindSection, 'nativeOnly') as (keyof ResolvedBind & string)[]
const SERVER_OPTIONS = namesOf(serverSection, 'nativeOnly') as (keyof ResolvedServer & string)[]

export function checkJsEngine(
  frontends: readonly ResolvedFrontend[],
  backends: readonly ResolvedBackend[],
  issues: Issues,
): void {
  const paths = new Set<string>()
  for (const bind of frontends.flatMap(({ binds }) => binds)) {
    for (const option of BIND_OPTIONS) if (bind[option]) paths.add(`${bind.path}.${option}`)
  }
  // A range is many binds of one path.
  for (const path of paths) issues.list.push({ path, message: WHY })
  for (const backend of backends) {
    for (const server of backend.servers) {
      const path = ['backends', backend.name, 'servers', server.name]
      for (const option of SERVER_OPTIONS) if (server[option]) issues.add([...path, option], WHY)
      if (server.source === 'client') issues.add([...path, 'source'], `'client' ${WHY}`)
    }
  }
}
