/** One server of a backend. */

import { connections, MAX } from './limits.js'
import { livenessOptions } from './liveness.js'
import { applet } from './policy.js'
import { optional, type ResolvedBy, required, section } from './section.js'
import { tlsOfServer } from './tls.js'
import { becomes, either, flag, integer, list, oneOf, text } from './type.js'

const proxyHeader = section({
  version: required(oneOf(1, 2), 'Version of the header.'),
  uniqueId: optional(flag, "Send the connection's id (version 2).", { default: false }),
  crc32c: optional(flag, 'Send a checksum (version 2).', { default: false }),
  ssl: optional(
    either("true, false or 'cn'", flag, oneOf('cn')),
    "Send the client's TLS (version 2): version, cipher and verification, with 'cn' also the common name of its certificate.",
    { default: false },
  ),
  authority: optional(flag, "Send the name that the client's TLS asked for (version 2).", {
    default: false,
  }),
  tlvs: optional(
    either('true, false or a list of types', flag, list(integer(0, 255))),
    'Hand on the TLVs of the header that came in (version 2): all (true), or these types; not its checksum, and not what the other options send.',
    { default: false, example: '[0xEA]' },
  ),
})

const sendProxy = becomes(
  either('true, false, 1, 2 or { version: 1 | 2, ... }', flag, oneOf(1, 2), proxyHeader),
  (written) => {
    if (!written) return undefined
    const asked = typeof written === 'object' ? written : { version: written === 1 ? 1 : 2 }
    const { ssl, ...header } = proxyHeader.resolve(asked as { version: 1 | 2 })
    return { ...header, ssl: ssl !== false, sslCn: ssl === 'cn' }
  },
)

export const socks = section({
  address: required(text('an address'), "The SOCKS proxy: 'ip:port'.", {
    example: "'127.0.0.1:1080'",
  }),
  version: optional(oneOf(4, 5), 'Version; 4 is SOCKS4a.', { default: 5 }),
  user: optional(text(), 'User name (user id with version 4).', { means: 'none' }),
  password: optional(text(), 'Password (version 5).', { means: 'none' }),
})

export const server = section(
  {
    address: optional(
      text('an address'),
      "Where the server is: 'ip:port', '[v6]:port', 'host.name:port', 'unix:/path', 'unix:@name' (abstract, Linux only) or 'applet:NAME'. " +
        "The port '+0' is the one that the client came to (after a PROXY header), '+1000' or '-1000' one at that distance: " +
        'for a bind with a range of ports, such as those of passive FTP.',
      { example: "'127.0.0.1:9001'" },
    ),
    applet: optional(applet, 'An applet instead of an address.'),
    weight: optional(integer(0, 256), 'Share of the load; 0 drains.', { default: 1 }),
    maxconn: optional(connections, 'Connections at once; more wait in the queue.', {
      absent: 0,
      means: 'no limit',
    }),
    backup: optional(
      flag,
      'Used only when every other server is down; of several the first one, unless `allBackups`.',
      { default: false },
    ),
    state: optional(
      oneOf('ready', 'drain', 'maint'),
      "'drain' takes no new sessions but sticky ones, 'maint' none.",
      { default: 'ready' },
    ),
    ...livenessOptions,
    sendProxy: optional(sendProxy, 'Send a PROXY header of this version; true is 2.', {
      default: false,
    }),
    tls: optional(
      either('true, false or { verify, serverName, ... }', flag, tlsOfServer),
      "Speak TLS to the server; true verifies its host name against the system's authorities.",
      { default: false, example: "{ ca: '/etc/ssl/internal-ca.pem' }" },
    ),
    socks: optional(socks, 'Reach the server through a SOCKS proxy.', {
      means: 'off',
      tcpOnly: true,
    }),
    source: optional(
      text('an address'),
      "Local address to connect from: 'ip', 'ip:port', or 'client' for the client's own (transparent).",
      { means: "the kernel's choice", example: "'192.0.2.7'", tcpOnly: true },
    ),
    id: optional(integer(1, MAX), 'Number in logs, tables (`serverId`) and stickiness.', {
      means: 'position in the backend, from 1',
    }),
  },
  'ServerConfig',
)

export type ServerOptions = ResolvedBy<typeof server>
export type SocksOptions = ResolvedBy<typeof socks>
