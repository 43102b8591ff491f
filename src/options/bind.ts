/** Binds: where a frontend listens, and how. */

import type { Cidr } from '../address/set.js'
import { type Duration, parseDuration, readDuration } from '../base/units.js'
import { connections } from './limits.js'
import { livenessOptions } from './liveness.js'
import { optional, type Resolved, type ResolvedBy, required, section } from './section.js'
import { tlsOfBind } from './tls.js'
import {
  becomes,
  either,
  flag,
  integer,
  leaf,
  list,
  named,
  nameOf,
  oneOf,
  size,
  type Type,
  text,
} from './type.js'

const cidr: Type<Cidr> = {
  ...text("a CIDR block or an address such as '10.0.0.0/8' or '2001:db8::/32'"),
  code: () => 'Cidr',
}
export const cidrs = list(cidr)

const port: Type<number | string> = leaf(
  ['string', 'number'],
  { type: 'number | string', expected: 'a port' },
  () => undefined,
)

/** The kernel counts in seconds: rounded up. */
const wait: Type<boolean | Duration, number> = leaf(
  ['boolean', 'string', 'number'],
  { type: 'boolean | Duration', expected: "true, false or a duration such as '3s'" },
  (value: unknown) => (typeof value === 'boolean' ? undefined : readDuration(value)),
  (value) => {
    if (typeof value === 'boolean') return value ? 1 : 0
    return Math.ceil(parseDuration(value) / 1000)
  },
)

const proxyHeader = section({
  from: optional(cidrs, 'Sources that send PROXY headers; everybody else is rejected.', {
    means: 'everybody',
    example: "['10.0.0.0/8']",
  }),
  limit: optional(
    size(216, 65_536),
    'Most bytes of addresses and TLVs (a client certificate, say) in a version 2 header. A longer one is refused as `proxy-too-long`.',
    { default: '16kB' },
  ),
})

const acceptProxy = becomes(
  either('true, false or { from: [...], limit }', flag, proxyHeader),
  (written) => {
    if (!written) return undefined
    return proxyHeader.resolve(written === true ? {} : written)
  },
)

/** Options of a TCP socket: engines take them as they are. */
const tcpOptions = {
  deferAccept: optional(
    wait,
    'Wait in the kernel for the first bytes (TCP_DEFER_ACCEPT), in whole seconds; true is 1 s.',
    { default: false, tcpOnly: true },
  ),
  fastOpen: optional(integer(0, 65_535), 'Queue length of TCP Fast Open.', {
    absent: 0,
    means: 'off',
    tcpOnly: true,
  }),
  ...livenessOptions,
  reusePort: optional(
    flag,
    'Share the port with other processes that ask for it too (SO_REUSEPORT), so that a new one can take over from an old one; ' +
      'otherwise a port that is taken is an error.',
    { default: false, tcpOnly: true },
  ),
  transparent: optional(flag, 'Accept for foreign addresses (IP_TRANSPARENT; needs privileges).', {
    default: false,
    tcpOnly: true,
    nativeOnly: true,
  }),
  originalDst: optional(flag, '`conn.dst` is the destination before NAT (SO_ORIGINAL_DST).', {
    default: false,
    tcpOnly: true,
    nativeOnly: true,
  }),
}

export const bind = section(
  {
    address: required(
      text('an address'),
      "Where to listen: '127.0.0.1:8080', '[::1]:8080', ':8080' or '*:8080' (IPv4 any), '[::]:8080', " +
        "'127.0.0.1:8000-8010' (a range of ports), 'unix:/run/a.sock' or 'unix@/run/a.sock', " +
        "'[fe80::1%eth0]:8080' (of an interface), 'unix:@name' (abstract, Linux only), 'fd@3', " +
        "'systemd' (every LISTEN_FDS socket) or 'systemd@NAME'. 'localhost' is 127.0.0.1.",
      { example: "'127.0.0.1:8080'" },
    ),
    port: optional(port, 'Port or range of ports, where the address has none.', {
      example: "'8000-8010'",
    }),
    v6only: optional(flag, "On '[::]': IPv6 only (true) or both families (false).", {
      default: false,
    }),
    backlog: optional(
      integer(1, 65_535),
      'Connections that the kernel holds until they are accepted; the kernel caps it (somaxconn).',
      { default: 4096 },
    ),
    maxconn: optional(
      connections,
      'Connections at once on this bind; accepting pauses at the limit.',
      { means: "the frontend's" },
    ),
    ...tcpOptions,
    acceptProxy: optional(
      acceptProxy,
      'Expect a PROXY header: from everybody (true) or from these sources only.',
      { default: false },
    ),
    mode: optional(
      text("permissions in octal such as '660'", /^[0-7]{3,4}$/),
      'Permissions of a unix socket.',
      { means: 'by the umask', example: "'660'" },
    ),
    health: optional(flag, "Answer every connection with 'OK' and close it.", { default: false }),
    tls: optional(
      either('{ cert, ... } or a list of these', tlsOfBind, list(tlsOfBind)),
      'Terminate TLS. A list gives sets of certificates options of their own; the first set serves names that no certificate is for.',
      { means: 'off', example: "{ cert: '/etc/ssl/sluice/' }" },
    ),
    startTls: optional(
      oneOf('accept', 'rule'),
      "When TLS begins: with the first byte ('accept'), or when a handshake rule answers startTls() ('rule'): SMTP's STARTTLS, " +
        "PostgreSQL's SSLRequest. With 'rule' a client for which none does is closed, unless one answers accept().",
      { default: 'accept' },
    ),
    sniRoutes: optional(
      named(nameOf('backend')),
      "Route by TLS server name without terminating: 'name', '*.name' (one label) or '*' (the rest), to backends. " +
        'Names that are not here are terminated where there is `tls`, and go through to the default backend where there is none.',
      {
        means: 'off',
        example: "{ 'db.example.com': 'db', '*.apps.example.com': 'apps' }",
      },
    ),
  },
  'BindConfig',
)

export type BindOptions = ResolvedBy<typeof bind>

/** What engines are told of a TCP socket. */
export function tcpOptionsOf(bind: Resolved<typeof tcpOptions>): Resolved<typeof tcpOptions> {
  const names = Object.keys(tcpOptions) as (keyof typeof tcpOptions)[]
  return Object.fromEntries(names.map((name) => [name, bind[name]])) as Resolved<typeof tcpOptions>
}
