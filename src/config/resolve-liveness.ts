/** How a peer that has vanished is noticed: the same for binds and servers. */

import { type Checked, ms } from './context.js'
import { defaults } from './defaults.js'
import type { ResolvedLiveness } from './resolved.js'
import type { KeepAliveConfig, LivenessConfig } from './types.js'

/** `isTcp`: other sockets need no probes, since the kernel knows both ends. */
export function resolveLiveness(config: Checked<LivenessConfig>, isTcp: boolean): ResolvedLiveness {
  if (!isTcp) return { keepAlive: undefined, userTimeout: 0 }
  return { keepAlive: keepAlive(config.keepAlive), userTimeout: ms(config.userTimeout) ?? 0 }
}

function keepAlive(
  value: boolean | Checked<KeepAliveConfig> | undefined,
): ResolvedLiveness['keepAlive'] {
  if (value === false) return undefined
  const { idle, interval, count } = typeof value === 'object' ? value : {}
  return {
    idle: seconds(idle, defaults.keepAlive.idle),
    interval: seconds(interval, defaults.keepAlive.interval),
    count: count ?? defaults.keepAlive.count,
  }
}

/** The kernel counts in seconds: rounded up. */
function seconds(...values: (string | undefined)[]): number {
  return Math.ceil((ms(...values) as number) / 1000)
}
