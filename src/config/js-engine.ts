/** What `engine: 'js'` cannot do, told before the start: docs/engines.md has the reasons. */

import type { Issues } from './issues.js'
import type { ResolvedBackend, ResolvedFrontend } from './resolved.js'

const WHY = "is not possible with global.engine 'js'; the native engine has it."

export function checkJsEngine(
  frontends: readonly ResolvedFrontend[],
  backends: readonly ResolvedBackend[],
  issues: Issues,
): void {
  const paths = new Set<string>()
  for (const bind of frontends.flatMap(({ binds }) => binds)) {
    for (const option of ['transparent', 'originalDst', 'userTimeout'] as const)
      if (bind[option]) paths.add(`${bind.path}.${option}`)
  }
  // A range is many binds of one path.
  for (const path of paths) issues.list.push({ path, message: WHY })
  for (const backend of backends) {
    for (const server of backend.servers) {
      const path = ['backends', backend.name, 'servers', server.name]
      if (server.userTimeout) issues.add([...path, 'userTimeout'], WHY)
      if (server.source === 'client') issues.add([...path, 'source'], `'client' ${WHY}`)
    }
  }
}
