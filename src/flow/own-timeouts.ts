/** `conn.timeouts`: time-outs that a policy gives one connection. */

import { SluiceError } from '../base/errors.js'
import { type Duration, formatDuration, readDuration } from '../base/units.js'
import type { ConnectionTimeouts } from '../policy/types.js'
import { Timeout } from '../wire/wire.js'

type Name = keyof ConnectionTimeouts

/** Numbers of those that the engine holds; the queue is policy's own. */
const kinds: { readonly [N in Name]-?: number } = {
  client: Timeout.CLIENT,
  clientFin: Timeout.CLIENT_FIN,
  server: Timeout.SERVER,
  serverFin: Timeout.SERVER_FIN,
  tunnel: Timeout.TUNNEL,
  connect: Timeout.CONNECT,
  queue: -1,
}

/** Accessors for each name: what is assigned is checked, and the engine is told. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the accessors are made below
export class OwnTimeouts {
  static {
    for (const name of Object.keys(kinds) as Name[]) {
      Object.defineProperty(OwnTimeouts.prototype, name, {
        enumerable: true,
        get(this: OwnTimeouts) {
          const ms = this.#own.get(name)
          return ms === undefined ? undefined : formatDuration(ms)
        },
        set(this: OwnTimeouts, value: Duration | undefined) {
          this.#set(name, value)
        },
      })
    }
  }

  readonly #own = new Map<Name, number>()
  readonly #tell: (which: number, ms: number) => void

  /** `tell`: the engine is to hold it: `Timeout`, and ms, or -1 where it is taken back. */
  constructor(tell: (which: number, ms: number) => void) {
    this.#tell = tell
    // Another name is a mistake, and a TypeError then.
    Object.freeze(this)
  }

  /** ms; undefined where the backend's holds. */
  static queueOf(timeouts: OwnTimeouts | undefined): number | undefined {
    return timeouts === undefined ? undefined : timeouts.#own.get('queue')
  }

  #set(name: Name, value: Duration | undefined): void {
    if (value === undefined) this.#own.delete(name)
    else this.#own.set(name, read(name, value))
    if (kinds[name] >= 0) this.#tell(kinds[name], this.#own.get(name) ?? -1)
  }
}

export interface OwnTimeouts extends ConnectionTimeouts {}

function read(name: Name, value: Duration): number {
  const parsed = readDuration(value)
  if ('value' in parsed && (name !== 'connect' || parsed.value > 0)) return parsed.value
  const why = 'value' in parsed ? "expected more than '0s'." : parsed.message
  const hint = 'suggestion' in parsed ? ` Did you mean '${parsed.suggestion}'?` : ''
  throw new SluiceError('ERR_SLUICE_ARGUMENT', `timeouts.${name}: ${why}${hint}`)
}
