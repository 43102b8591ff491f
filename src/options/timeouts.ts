/** Time-outs: those of everything, and which of them a frontend or a backend may have of its own. */

import { type Checked, type Option, optional, section, type Written } from './section.js'
import { duration } from './type.js'

/** By name. In ms; 0 is off. */
export const timeouts = section(
  {
    client: optional(duration(), "Client inactivity; '0s' is off.", {
      // Idle SSH, MQTT and database pools are what TCP proxies carry: keep-alive finds dead peers, not this.
      default: '1h',
    }),
    server: optional(duration(), "Server inactivity; '0s' is off.", { default: '1h' }),
    connect: optional(
      duration(1),
      'From the first connect to the end of the outgoing handshakes.',
      { default: '5s' },
    ),
    clientFin: optional(duration(), 'Client inactivity once one side is shut.', {
      default: '1m',
      means: "'1m', at most client",
    }),
    serverFin: optional(duration(), 'Server inactivity once one side is shut.', {
      default: '1m',
      means: "'1m', at most server",
    }),
    tunnel: optional(
      duration(),
      'Inactivity once both sides have sent payload; replaces client and server.',
      { absent: 0, means: 'off' },
    ),
    queue: optional(duration(), 'Longest wait for a server slot.', { means: 'connect' }),
    handshake: optional(duration(1), 'From accept to the session: PROXY header, handshake rules.', {
      default: '5s',
    }),
  },
  'TimeoutsConfig',
)

type All = typeof timeouts.options
type Name = keyof All
/** What users may write. */
export type TimeoutsWritten = Checked<Written<All>>

export const frontendTimeouts = own('client', 'clientFin', 'handshake')
export const backendTimeouts = own('server', 'serverFin', 'connect', 'queue', 'tunnel')

/** Time-outs of one section; their defaults are those of the top level. */
function own<K extends Name>(...names: K[]) {
  const options = names.map((name) => {
    const { type, doc }: Option = timeouts.options[name]
    return [name, optional(type, doc, { means: `timeouts.${name}` })]
  })
  return section(Object.fromEntries(options) as Pick<All, K>)
}

/** In ms; 0 is off. */
export type FrontendTimeouts = { [K in keyof typeof frontendTimeouts.options]: number }
export type BackendTimeouts = { [K in keyof typeof backendTimeouts.options]: number }

/** Time-outs of a section in ms, those of the top level where it has none. */
export function resolveTimeouts<K extends Name>(
  { options }: { options: Pick<All, K> },
  own: TimeoutsWritten = {},
  top: TimeoutsWritten = {},
): { [N in K]: number } {
  const names = Object.keys(timeouts.options) as Name[]
  const written: TimeoutsWritten = Object.fromEntries(
    names.map((name) => [name, own[name] ?? top[name]]),
  )
  const all = timeouts.resolve(written)
  // Where they are not written they follow others, and are off where those are.
  const resolved: { [N in Name]: number } = {
    ...all,
    clientFin: written.clientFin ? all.clientFin : Math.min(all.clientFin, all.client),
    serverFin: written.serverFin ? all.serverFin : Math.min(all.serverFin, all.server),
    queue: all.queue ?? all.connect,
  }
  const picked = (Object.keys(options) as K[]).map((name) => [name, resolved[name]])
  return Object.fromEntries(picked) as { [N in K]: number }
}
