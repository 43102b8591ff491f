/**
 * The schema of the configuration: the shape of types.ts, checked at run time,
 * and the source of docs/configuration.md. What needs more than one field to be
 * judged (references, overlaps) is in resolve.ts.
 */

import { table } from '../options/table.js'
import { defaults, MOST_CONNECTIONS } from './defaults.js'
import {
  duration,
  flag,
  integer,
  named,
  object,
  oneOf,
  optional,
  required,
  text,
} from './fields.js'
import { applet } from './policy-schema.js'
import { backend } from './schema-backend.js'
import { connections, MAX, timeouts } from './schema-common.js'
import { frontend } from './schema-frontend.js'
import type { Config, GlobalConfig, LogConfig } from './types.js'

const global = object<GlobalConfig>({
  maxconn: optional(
    integer(1, MOST_CONNECTIONS),
    'Connections at once in the process; accepting pauses at the limit. More than the fd limit allows is lowered, with a warning. Memory is taken as they come.',
    'from the fd limit (two descriptors a session, half of one for its share of a pipe, 64 others), at most 65536',
    '20_000',
  ),
  maxpipes: optional(
    integer(0, MAX),
    'Pipes for bulk payload at once (splice), two descriptors each; beyond them payload is copied. 0 is off.',
    'a quarter of maxconn',
    '1000',
  ),
  workers: optional(integer(1, 256), 'Engine threads.', defaults.workers),
  engine: optional(
    oneOf('native', 'js', 'auto'),
    "Which engine moves the bytes; 'auto' takes native where the addon loads.",
    `'${defaults.engine}'`,
  ),
  busyPoll: optional(
    flag,
    'Look for events for 200 microseconds before the thread of the policies sleeps: they are answered sooner while traffic is sparse, for more CPU. Native engine only.',
    defaults.busyPoll,
  ),
  verdictTimeout: optional(
    duration(1),
    'Longest time for one answer of a policy before the default verdict.',
    `'${defaults.verdictTimeout}'`,
  ),
  tlsHandshakes: optional(
    object<NonNullable<GlobalConfig['tlsHandshakes']>>({
      concurrent: optional(
        connections,
        'In each worker; more wait.',
        defaults.tlsHandshakes.concurrent,
      ),
      total: optional(connections, 'In the process.', 'no limit of its own'),
      queue: optional(
        integer(0, MAX),
        'Longest queue of those that wait; more are closed.',
        defaults.tlsHandshakes.queue,
      ),
      queueTimeout: optional(
        duration(1),
        'Longest wait; at most `verdictTimeout`.',
        `'${defaults.tlsHandshakes.queueTimeout}'`,
      ),
    }),
    'TLS handshakes with clients at once.',
  ),
  tlsReload: optional(
    duration(),
    "How often files of certificates and keys are looked at, and read again where they have changed; '0s' is off.",
    `'${defaults.tlsReload}'`,
  ),
  drainTimeout: optional(
    duration(),
    'How long `stop()` and SIGTERM wait for sessions to end.',
    `'${defaults.drainTimeout}'`,
  ),
  grace: optional(
    duration(),
    'How long `stop()` and SIGTERM go on accepting while health and monitor say no already, so that who balances in front sends nobody any more. Then sessions drain.',
    `'${defaults.grace}'`,
  ),
  resolveInterval: optional(
    duration(1),
    'How often host names of servers are resolved again.',
    `'${defaults.resolveInterval}'`,
  ),
})

const log = object<LogConfig>({
  level: optional(
    oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent'),
    "Least level that is written. 'trace' shows every state transition.",
    `'${defaults.logLevel}'`,
  ),
  file: optional(
    text('a file name'),
    'File to append to, asynchronously. SIGUSR1 opens its name anew.',
    'stdout',
  ),
  format: optional(
    oneOf('json', 'pretty'),
    "'json': a line for programs. 'pretty': text for people.",
    "'json'; `sluice run` on a terminal: 'pretty'",
  ),
})

/** The whole configuration. */
export const configSchema = object<Config>({
  global: optional(global, 'The process.'),
  tables: optional(named(table.schema), 'Stick tables by name.'),
  applets: optional(named(applet), "Applets by name, for servers at 'applet:NAME'."),
  frontends: required(named(frontend), 'Frontends by name: where clients come in.'),
  backends: required(named(backend), 'Backends by name: where sessions go.'),
  timeouts: optional(timeouts, 'Defaults for every frontend and backend.'),
  log: optional(log, 'The log of the process.'),
})
