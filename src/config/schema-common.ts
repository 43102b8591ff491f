/** Schema of what several sections share: connection limits and time-outs. */

import type { z } from 'zod'
import { show } from '../base/units.js'
import { defaults } from './defaults.js'
import { duration, either, flag, integer, leaf, object, optional } from './fields.js'
import type { KeepAliveConfig, LivenessConfig, TimeoutsConfig } from './types.js'

export const MAX = 2 ** 31 - 1
export const connections = integer(1, MAX)

export const mode = leaf(['string'], { type: "'tcp'", expected: "'tcp'" }, (value: string) => {
  if (value === 'tcp') return undefined
  const http = /^http/i.test(value) ? ': HTTP is carried as it is, requests are not looked at' : ''
  return { message: `expected 'tcp', got ${show(value)}${http}.` }
})

const timeoutFields: Record<keyof TimeoutsConfig, z.ZodType> = {
  client: optional(duration(), "Client inactivity; '0s' is off.", `'${defaults.timeouts.client}'`),
  server: optional(duration(), "Server inactivity; '0s' is off.", `'${defaults.timeouts.server}'`),
  connect: optional(
    duration(1),
    'From the first connect to the end of the outgoing handshakes.',
    `'${defaults.timeouts.connect}'`,
  ),
  clientFin: optional(
    duration(),
    'Client inactivity once one side is shut.',
    `'${defaults.timeouts.clientFin}', at most client`,
  ),
  serverFin: optional(
    duration(),
    'Server inactivity once one side is shut.',
    `'${defaults.timeouts.serverFin}', at most server`,
  ),
  tunnel: optional(
    duration(),
    'Inactivity once both sides have sent payload; replaces client and server.',
    'off',
  ),
  queue: optional(duration(), 'Longest wait for a server slot.', 'connect'),
  handshake: optional(
    duration(1),
    'From accept to the session: PROXY header, custom handlers.',
    `'${defaults.timeouts.handshake}'`,
  ),
}

/** Longest time that the kernel takes for keep-alive, in ms: 32767 seconds. */
const MAX_PROBE = 32_767_000

const keepAlive = object<KeepAliveConfig>({
  idle: optional(
    duration(1, MAX_PROBE),
    'Silence before the first probe.',
    `'${defaults.keepAlive.idle}'`,
  ),
  interval: optional(duration(1, MAX_PROBE), 'Between probes.', `'${defaults.keepAlive.interval}'`),
  count: optional(
    integer(1, 127),
    'Probes without an answer that end the connection.',
    defaults.keepAlive.count,
  ),
})

/** How a peer that has vanished is noticed: fields of binds and servers. */
export const liveness: Record<keyof LivenessConfig, z.ZodType> = {
  keepAlive: optional(
    either('true, false or { idle, interval, count }', flag, keepAlive),
    'Probe silent connections (SO_KEEPALIVE), so that a peer that has vanished is noticed and NAT does not forget them. Times are whole seconds, rounded up.',
    true,
    "{ idle: '30s', interval: '10s', count: 3 }",
  ),
  userTimeout: optional(
    duration(0, MAX),
    "Longest time that bytes may stay unacknowledged, or a peer may keep its window shut (TCP_USER_TIMEOUT); '0s' is the kernel's.",
    `'0s'`,
  ),
}

export const timeouts = object<TimeoutsConfig>(timeoutFields)

/** Time-outs of one section; their defaults are those of the top level. */
export function sectionTimeouts<K extends keyof TimeoutsConfig>(...keys: K[]): z.ZodType {
  const fields = keys.map((key) => {
    const field = timeoutFields[key]
    return [key, field.meta({ ...field.meta(), default: `timeouts.${key}` })]
  })
  return object<Pick<TimeoutsConfig, K>>(Object.fromEntries(fields))
}
