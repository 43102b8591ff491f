/** Schema of frontends: where clients come in. */

import { readDuration } from '../base/units.js'
import { defaults } from './defaults.js'
import {
  duration,
  either,
  flag,
  integer,
  leaf,
  list,
  named,
  object,
  oneOf,
  optional,
  required,
  size,
  text,
} from './fields.js'
import { handshakeHandler, rule } from './policy-schema.js'
import { connections, liveness, MAX, mode, sectionTimeouts } from './schema-common.js'
import { bindTls } from './schema-tls.js'
import type { BindConfig, FrontendConfig, FrontendLogConfig, MonitorConfig } from './types.js'

const cidrs = list(text("a CIDR block or an address such as '10.0.0.0/8' or '2001:db8::/32'"))

const bind = object<BindConfig>({
  address: required(
    text('an address'),
    "Where to listen: '127.0.0.1:8080', '[::1]:8080', ':8080' or '*:8080' (IPv4 any), '[::]:8080', " +
      "'127.0.0.1:8000-8010' (a range of ports), 'unix:/run/a.sock' or 'unix@/run/a.sock', " +
      "'[fe80::1%eth0]:8080' (of an interface), 'unix:@name' (abstract, Linux only), 'fd@3', " +
      "'systemd' (every LISTEN_FDS socket) or 'systemd@NAME'. 'localhost' is 127.0.0.1.",
    "'127.0.0.1:8080'",
  ),
  port: optional(
    leaf(['string', 'number'], { type: 'number | string', expected: 'a port' }, () => undefined),
    'Port or range of ports, where the address has none.',
    undefined,
    "'8000-8010'",
  ),
  v6only: optional(flag, "On '[::]': IPv6 only (true) or both families (false).", false),
  backlog: optional(
    integer(1, 65_535),
    'Connections that the kernel holds until they are accepted; the kernel caps it (somaxconn).',
    defaults.backlog,
  ),
  maxconn: optional(
    connections,
    'Connections at once on this bind; accepting pauses at the limit.',
    "the frontend's",
  ),
  deferAccept: optional(
    leaf(
      ['boolean', 'string', 'number'],
      { type: 'boolean | Duration', expected: "true, false or a duration such as '3s'" },
      (value: unknown) => (typeof value === 'boolean' ? undefined : readDuration(value)),
    ),
    'Wait in the kernel for the first bytes (TCP_DEFER_ACCEPT), in whole seconds; true is 1 s.',
    false,
  ),
  fastOpen: optional(integer(0, 65_535), 'Queue length of TCP Fast Open.', 'off'),
  ...liveness,
  reusePort: optional(
    flag,
    'Share the port with other processes that ask for it too (SO_REUSEPORT), so that a new one can take over from an old one; ' +
      'otherwise a port that is taken is an error.',
    false,
  ),
  transparent: optional(
    flag,
    'Accept for foreign addresses (IP_TRANSPARENT; needs privileges).',
    false,
  ),
  originalDst: optional(flag, '`conn.dst` is the destination before NAT (SO_ORIGINAL_DST).', false),
  acceptProxy: optional(
    either(
      'true, false or { from: [...], limit }',
      flag,
      object<{ from: string[]; limit: string }>({
        from: optional(
          cidrs,
          'Sources that send PROXY headers; everybody else is rejected.',
          'everybody',
          "['10.0.0.0/8']",
        ),
        limit: optional(
          size(216, 65_536),
          'Most bytes of addresses and TLVs (a client certificate, say) in a version 2 header. A longer one is refused as `proxy-too-long`.',
          `'${defaults.proxyLimit}'`,
        ),
      }),
    ),
    'Expect a PROXY header: from everybody (true) or from these sources only.',
    false,
  ),
  mode: optional(
    text("permissions in octal such as '660'", /^[0-7]{3,4}$/),
    'Permissions of a unix socket.',
    'by the umask',
    "'660'",
  ),
  health: optional(flag, "Answer every connection with 'OK' and close it.", false),
  tls: optional(
    bindTls,
    'Terminate TLS. A list gives sets of certificates options of their own; the first set serves names that no certificate is for.',
    'off',
    "{ cert: '/etc/ssl/sluice/' }",
  ),
  sniRoutes: optional(
    named(text('a backend')),
    "Route by TLS server name without terminating: 'name', '*.name' (one label) or '*' (the rest), to backends. " +
      'Names that are not here are terminated where there is `tls`, and go through to the default backend where there is none.',
    'off',
    "{ 'db.example.com': 'db', '*.apps.example.com': 'apps' }",
  ),
})

const monitor = object<MonitorConfig>({
  from: required(
    cidrs,
    'Sources that get the reply instead of service, before everything else.',
    "['10.1.0.5']",
  ),
  reply: optional(
    leaf(['string'], { type: 'string', expected: 'a string' }, () => undefined),
    'What they get.',
    "'HTTP/1.0 200 OK\\r\\n\\r\\n'",
  ),
})

const tcpRequest = object<NonNullable<FrontendConfig['tcpRequest']>>({
  connection: optional(
    list(rule),
    'Rules right after the PROXY header, before a session exists.',
    'none',
  ),
  session: optional(list(rule), 'Rules when the session is made.', 'none'),
  content: optional(list(rule), 'Rules with the first payload.', 'none'),
  inspectDelay: optional(
    duration(),
    'Longest wait for payload that content rules ask for.',
    'off: rules see what is there',
  ),
  inspectLimit: optional(
    size(1, 65_536),
    'Most payload that content rules may see.',
    `'${defaults.inspectLimit}'`,
  ),
})

const tlsRequest = object<NonNullable<FrontendConfig['tlsRequest']>>({
  clientHello: optional(
    list(rule),
    'Rules with the ClientHello: they may choose certificate, client certificate demand and backend, let it through, or reject.',
    'none',
  ),
  established: optional(
    list(rule),
    'Rules when TLS is complete, before the session: certificate, cipher and version are in `conn.tls`.',
    'none',
  ),
})

export const frontend = object<FrontendConfig>({
  mode: optional(mode, 'What is proxied.', "'tcp'"),
  bind: required(
    either(
      "an address such as ':8080', { address, ... } or a list of these",
      text('an address'),
      bind,
      list(either('an address or { address, ... }', text('an address'), bind)),
    ),
    'Where to listen.',
    "['127.0.0.1:8080', { address: 'unix:/run/a.sock', mode: '660' }]",
  ),
  backend: optional(text(), 'Default backend.', 'none: rules or handlers choose', "'app'"),
  maxconn: optional(
    connections,
    'Connections at once; accepting pauses at the limit.',
    'global.maxconn',
  ),
  monitor: optional(monitor, 'Replies to monitoring systems.', 'off'),
  tcpRequest: optional(tcpRequest, 'Rules, in the order in which they run.'),
  tlsRequest: optional(tlsRequest, 'Rules around the TLS handshake.'),
  handshakes: optional(
    list(handshakeHandler),
    'Handshake handlers written in TypeScript, in order.',
    'none',
  ),
  defaultVerdict: optional(
    oneOf('close', 'open'),
    "What a late or failed policy means; 'open' goes on to the default backend. On a bind with " +
      '`tls` an engine that waits for policy in vain always closes.',
    `'${defaults.defaultVerdict}'`,
  ),
  timeouts: optional(
    sectionTimeouts('client', 'clientFin', 'handshake'),
    'Time-outs of this frontend; the rest comes from `timeouts`.',
  ),
  log: optional(
    object<FrontendLogConfig>({
      sample: optional(
        integer(0, MAX),
        'Log one session in N; 0 logs errors only. Errors are always logged.',
        defaults.logSample,
      ),
      openAfter: optional(
        duration(),
        "A line of its own for each session that is still open after so long: tunnels have one at their end only otherwise. '0s' is off.",
        `'${defaults.logOpenAfter}'`,
      ),
    }),
    'Log of this frontend.',
  ),
})
