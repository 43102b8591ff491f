/** `global` and `log`: the process. */

import { connections, MAX, MOST_CONNECTIONS } from './limits.js'
import { optional, type ResolvedBy, section } from './section.js'
import { duration, flag, integer, oneOf, text } from './type.js'

const tlsHandshakes = section({
  concurrent: optional(connections, 'In each worker; more wait.', { default: 1024 }),
  total: optional(connections, 'In the process.', { absent: 0, means: 'no limit of its own' }),
  queue: optional(integer(0, MAX), 'Longest queue of those that wait; more are closed.', {
    default: 4096,
  }),
  queueTimeout: optional(duration(1), 'Longest wait; at most `verdictTimeout`.', { default: '3s' }),
})

export const global = section(
  {
    maxconn: optional(
      integer(1, MOST_CONNECTIONS),
      'Connections at once in the process; accepting pauses at the limit. More than the fd limit allows is lowered, with a warning. Memory is taken as they come.',
      {
        means:
          'from the fd limit (two descriptors a session, half of one for its share of a pipe, 64 others), at most 65536',
        example: '20_000',
      },
    ),
    maxpipes: optional(
      integer(0, MAX),
      'Pipes for bulk payload at once (splice), two descriptors each; beyond them payload is copied. 0 is off.',
      { means: 'a quarter of maxconn', example: '1000' },
    ),
    workers: optional(integer(1, 256), 'Engine threads.', { default: 1 }),
    engine: optional(
      oneOf('native', 'js', 'auto'),
      "Which engine moves the bytes; 'auto' takes native where the addon loads.",
      { default: 'auto' },
    ),
    busyPoll: optional(
      flag,
      'Look for events for 200 microseconds before the thread of the policies sleeps: they are answered sooner while traffic is sparse, for more CPU. Native engine only.',
      { default: false },
    ),
    lead: optional(
      flag,
      "The thread of the policies takes the workers' turns itself while traffic is sparse (leader and follower): a client at a time waits for no hand-over between threads. Native engine only; without effect beside busyPoll.",
      { default: true },
    ),
    verdictTimeout: optional(
      duration(1),
      "Longest time for one answer of a policy; then 'onError' decides.",
      { default: '5s' },
    ),
    tlsHandshakes: optional(tlsHandshakes, 'TLS handshakes with clients at once.', {
      default: {},
    }),
    tlsReload: optional(
      duration(),
      "How often files of certificates and keys are looked at, and read again where they have changed; '0s' is off.",
      { default: '10s' },
    ),
    drainTimeout: optional(duration(), 'How long `stop()` and SIGTERM wait for sessions to end.', {
      default: '30s',
    }),
    grace: optional(
      duration(),
      'How long `stop()` and SIGTERM go on accepting while health and monitor say no already, so that who balances in front sends nobody any more. Then sessions drain.',
      { default: '0s' },
    ),
    resolveInterval: optional(duration(1), 'How often host names of servers are resolved again.', {
      default: '30s',
    }),
  },
  'GlobalConfig',
)

export const log = section(
  {
    level: optional(
      oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent'),
      "Least level that is written. 'trace' shows every state transition.",
      { default: 'info' },
    ),
    file: optional(
      text('a file name'),
      'File to append to, asynchronously. SIGUSR1 opens its name anew.',
      { means: 'stdout' },
    ),
    format: optional(
      oneOf('json', 'pretty'),
      "'json': a line for programs. 'pretty': text for people.",
      { means: "'json'; `sluice run` on a terminal: 'pretty'" },
    ),
  },
  'LogConfig',
)

/** Times in ms. */
export type GlobalOptions = ResolvedBy<typeof global>
export type LogOptions = ResolvedBy<typeof log>
