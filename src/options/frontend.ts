/** Frontends: where clients come in. */

import type { RuleOf } from '../policy/rule.js'
import { type RuleList, ruleListNames, ruleLists } from '../policy/rule-lists.js'
import { bind, cidrs } from './bind.js'
import { connections, MAX } from './limits.js'
import { mode } from './mode.js'
import { handshakeRules, plugin, rules as rulesOf } from './policy.js'
import { type Option, optional, type ResolvedBy, required, section } from './section.js'
import { frontendTimeouts } from './timeouts.js'
import {
  becomes,
  duration,
  either,
  integer,
  leaf,
  list,
  nameOf,
  oneOf,
  type Type,
  text,
} from './type.js'

const replyText: Type<string, Uint8Array> = becomes(
  leaf(['string'], { type: 'string', expected: 'a string' }, () => undefined),
  (written: string) => new TextEncoder().encode(written),
)

export const monitor = section(
  {
    from: required(
      cidrs,
      'Sources that get the reply instead of service, before everything else.',
      { example: "['10.1.0.5']" },
    ),
    reply: optional(replyText, 'What they get.', {
      default: 'HTTP/1.0 200 OK\r\n\r\n',
      means: "'HTTP/1.0 200 OK\\r\\n\\r\\n'",
    }),
  },
  'MonitorConfig',
)

type Lists = { [K in RuleList]: Option<RuleOf<K>[], RuleOf<K>[], false> }

const lists = Object.fromEntries(
  ruleListNames.map((name) => {
    const { doc, subject } = ruleLists[name]
    const type = name === 'handshake' ? handshakeRules : rulesOf(name, subject)
    return [name, optional<unknown, unknown>(type, doc, { default: [], means: 'none' })]
  }),
) as Lists

export const rules = section(lists)

const log = section(
  {
    sample: optional(
      integer(0, MAX),
      'Log one session in N; 0 logs errors only. Errors are always logged.',
      { default: 1 },
    ),
    openAfter: optional(
      duration(),
      "A line of its own for each session that is still open after so long: tunnels have one at their end only otherwise. '0s' is off.",
      { default: '0s' },
    ),
  },
  'FrontendLogConfig',
)

export const frontend = section(
  {
    mode: optional(mode, 'What is proxied.', { default: 'tcp' }),
    bind: required(
      either(
        "an address such as ':8080', { address, ... } or a list of these",
        text('an address'),
        bind,
        list(either('an address or { address, ... }', text('an address'), bind)),
      ),
      'Where to listen.',
      { example: "['127.0.0.1:8080', { address: 'unix:/run/a.sock', mode: '660' }]" },
    ),
    backend: optional(nameOf('backend'), 'Default backend.', {
      means: 'none: rules choose',
      example: "'app'",
    }),
    maxconn: optional(connections, 'Connections at once; accepting pauses at the limit.', {
      means: 'global.maxconn',
    }),
    monitor: optional(monitor, 'Replies to monitoring systems.', { means: 'off' }),
    rules: optional(rules, 'Rules by stage, in the order in which they run.', { default: {} }),
    use: optional(list(plugin), 'Plugins, whose rules run before those above.', {
      default: [],
      means: 'none',
      example: '[rateLimit({ connections: 100 })]',
    }),
    onError: optional(
      oneOf('close', 'open'),
      "What a late or failed policy means; 'open' goes on to the default backend. On a bind with " +
        '`tls` an engine that waits for policy in vain always closes.',
      { default: 'close' },
    ),
    timeouts: optional(
      frontendTimeouts,
      'Time-outs of this frontend; the rest comes from `timeouts`.',
    ),
    log: optional(log, 'Log of this frontend.', { default: {} }),
  },
  'FrontendConfig',
)

export type FrontendOptions = ResolvedBy<typeof frontend>
