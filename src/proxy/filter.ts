/** What may be asked of `proxy.sessions`. */

import { SluiceError } from '../base/errors.js'
import { show } from '../base/units.js'
import { unknownName } from '../base/unknown-name.js'
import type { ResolvedConfig } from '../config/resolved.js'
import type { SessionFilter } from '../policy/live.js'

const KEYS = ['frontend', 'backend', 'server', 'src']

/** Throws for what can fit nothing: a typo must not look as if nobody was there. */
export function checkFilter(filter: SessionFilter, config: ResolvedConfig): void {
  for (const [key, value] of Object.entries(filter)) {
    if (!KEYS.includes(key)) throw unknownName('filter of sessions', key, KEYS)
    if (value === undefined || typeof value === 'string') continue
    throw new SluiceError('ERR_SLUICE_ARGUMENT', `expected a string as ${key}, got ${show(value)}.`)
  }
  const { frontends, backends } = config
  const known = backends.filter(({ name }) => name === (filter.backend ?? name))
  check('frontend', filter.frontend, frontends)
  check('backend', filter.backend, backends)
  const servers = known.flatMap((backend) => backend.servers)
  check('server', filter.server, servers)
}

function check(
  what: string,
  name: string | undefined,
  known: readonly { readonly name: string }[],
): void {
  if (name === undefined || known.some((each) => each.name === name)) return
  throw unknownName(
    what,
    name,
    known.map((each) => each.name),
  )
}
