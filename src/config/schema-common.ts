/** Schema of what several sections share: connection limits and time-outs. */

import type { z } from 'zod'
import { defaults } from './defaults.js'
import { duration, integer, object, optional } from './fields.js'
import type { TimeoutsConfig } from './types.js'

export const MAX = 2 ** 31 - 1
export const connections = integer(1, MAX)

const timeoutFields: Record<keyof TimeoutsConfig, z.ZodType> = {
  client: optional(duration(), "Client inactivity; '0s' is off.", `'${defaults.timeouts.client}'`),
  server: optional(duration(), "Server inactivity; '0s' is off.", `'${defaults.timeouts.server}'`),
  connect: optional(
    duration(1),
    'From the first connect to the end of the outgoing handshakes.',
    `'${defaults.timeouts.connect}'`,
  ),
  clientFin: optional(duration(), 'Client inactivity once one side is shut.', 'client'),
  serverFin: optional(duration(), 'Server inactivity once one side is shut.', 'server'),
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

export const timeouts = object<TimeoutsConfig>(timeoutFields)

/** Time-outs of one section; their defaults are those of the top level. */
export function sectionTimeouts<K extends keyof TimeoutsConfig>(...keys: K[]): z.ZodType {
  const fields = keys.map((key) => {
    const field = timeoutFields[key]
    return [key, field.meta({ ...field.meta(), default: `timeouts.${key}` })]
  })
  return object<Pick<TimeoutsConfig, K>>(Object.fromEntries(fields))
}
