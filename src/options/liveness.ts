/** How a peer that has vanished without a word is noticed: the same for binds and servers. */

import { parseDuration } from '../base/units.js'
import { MAX } from './limits.js'
import { optional, type Resolved, section } from './section.js'
import { becomes, duration, either, flag, integer } from './type.js'

/** Longest time that the kernel takes for keep-alive, in ms: 32767 seconds. */
const MAX_PROBE = 32_767_000

/** The kernel counts in seconds: rounded up. */
const probe = becomes(duration(1, MAX_PROBE), (written) => Math.ceil(parseDuration(written) / 1000))

const keepAlive = section(
  {
    idle: optional(probe, 'Silence before the first probe.', { default: '1m' }),
    interval: optional(probe, 'Between probes.', { default: '15s' }),
    count: optional(integer(1, 127), 'Probes without an answer that end the connection.', {
      default: 4,
    }),
  },
  'KeepAliveConfig',
  'TCP keep-alive. Times are whole seconds, rounded up.',
)

export const livenessOptions = {
  keepAlive: optional(
    becomes(either('true, false or { idle, interval, count }', flag, keepAlive), (written) => {
      if (written === false) return undefined
      return keepAlive.resolve(written === true ? {} : written)
    }),
    'Probe silent connections (SO_KEEPALIVE), so that a peer that has vanished is noticed and NAT does not forget them. Times are whole seconds, rounded up.',
    { default: true, example: "{ idle: '30s', interval: '10s', count: 3 }", tcpOnly: true },
  ),
  userTimeout: optional(
    duration(0, MAX),
    "Longest time that bytes may stay unacknowledged, or a peer may keep its window shut (TCP_USER_TIMEOUT); '0s' is the kernel's.",
    { default: '0s', tcpOnly: true, nativeOnly: true },
  ),
}

export const liveness = section(
  livenessOptions,
  'LivenessConfig',
  'How a peer that has vanished without a word is noticed. For TCP only.',
)

/** Times of keep-alive in seconds; `userTimeout` in ms, 0 is the kernel's. */
export type ResolvedLiveness = Resolved<typeof livenessOptions>

/** Sockets other than TCP need no probes, since the kernel knows both ends. */
export const noLiveness: ResolvedLiveness = { keepAlive: undefined, userTimeout: 0 }
