/** Options of the plugin protocol-detection. */

import type { Duration } from '../../base/units.js'
import { optional, required, section } from '../../options/section.js'
import { duration, text } from '../../options/type.js'

/** Options of `protocolDetection`. */
export interface ProtocolDetectionOptions {
  /** Backend of each protocol; a client of one without is closed. */
  backends: {
    /** Clients that speak SSH. Default: none. */
    ssh?: string
    /** Clients that speak TLS. Default: none. */
    tls?: string
    /** Clients that speak HTTP, HTTP/2 in clear text too. Default: none. */
    http?: string
    /** Clients that speak something else. Default: none. */
    unknown?: string
  }
  /**
   * How long a silent client is waited for, one that waits for the server to speak; then it goes on
   * to the frontend's default backend. Default '2s'.
   */
  wait?: Duration
}

const name = text('the name of a backend')

export const options = section(
  {
    backends: required(
      section({
        ssh: optional(name, 'Clients that speak SSH.', { means: 'none' }),
        tls: optional(name, 'Clients that speak TLS.', { means: 'none' }),
        http: optional(name, 'Clients that speak HTTP, HTTP/2 in clear text too.', {
          means: 'none',
        }),
        unknown: optional(name, 'Clients that speak something else.', { means: 'none' }),
      }),
      'Backend of each protocol; a client of one without is closed.',
      { example: "{ ssh: 'ssh', tls: 'https', http: 'http' }" },
    ),
    wait: optional(
      duration(1),
      "How long a silent client is waited for, one that waits for the server to speak; then it goes on to the frontend's default backend.",
      { default: '2s' },
    ),
  },
  'ProtocolDetectionOptions',
)
