/** What an incoming connection is doing before its payload flows, for a close reason. */

import { Handshake, Phase } from '../../wire/wire.js'

const phases = new Map<number, number>([
  [Handshake.HEALTH, Phase.HEALTH],
  [Handshake.MONITOR_IN, Phase.MONITOR_IN],
  [Handshake.ACCEPT_PROXY, Phase.ACCEPT_PROXY],
  [Handshake.TCP_RULES, Phase.TCP_RULES],
  [Handshake.TLS, Phase.TLS],
  [Handshake.CUSTOM, Phase.HANDSHAKE],
  [Handshake.ACCEPT_SESSION, Phase.ACCEPT_SESSION],
])

/** Phase of an incoming handshake bit; QUEUE where none is left. */
export function phaseOfHandshake(bit: number): number {
  return phases.get(bit) ?? Phase.QUEUE
}
