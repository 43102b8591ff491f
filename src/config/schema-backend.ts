/** Schema of backends: where sessions go. */

import { suggest } from '../base/suggest.js'
import { show } from '../base/units.js'
import { defaults } from './defaults.js'
import {
  anyOf,
  duration,
  either,
  flag,
  fn,
  integer,
  leaf,
  list,
  named,
  object,
  oneOf,
  optional,
  required,
  text,
} from './fields.js'
import { foreignBalance } from './foreign.js'
import { applet } from './policy-schema.js'
import { connections, liveness, MAX, mode, sectionTimeouts } from './schema-common.js'
import { serverTls } from './schema-tls.js'
import type { BackendConfig, BalanceConfig, ServerConfig } from './types.js'

const ALGORITHMS = ['roundrobin', 'leastconn', 'first', 'random', 'source']
const expectedAlgorithm = anyOf(ALGORITHMS.map(show))

/** The name of an algorithm; those of others are told ours. */
const algorithm = leaf(
  ['string'],
  { type: ALGORITHMS.map(show).join(' | '), expected: expectedAlgorithm },
  (value: string) => {
    if (ALGORITHMS.includes(value)) return undefined
    const meant = foreignBalance(value)
    const why = meant === undefined ? '' : `: ${meant}`
    const near = meant === undefined ? suggest(value, ALGORITHMS) : undefined
    const message = `expected ${expectedAlgorithm}, got ${show(value)}${why}.`
    return near === undefined ? { message } : { message, suggestion: near }
  },
)

const balance = either(
  "an algorithm, { algorithm: 'random', ... } or { algorithm: 'hash', ... }",
  algorithm,
  object<
    Exclude<BalanceConfig, string> & {
      key?: unknown
      type?: unknown
      boundedLoad?: unknown
      draws?: unknown
    }
  >({
    algorithm: required(oneOf('random', 'hash'), 'The algorithm that has options.'),
    draws: optional(
      integer(1, 100),
      "'random': servers drawn, of which the least loaded is taken.",
      defaults.draws,
    ),
    key: optional(fn('(conn) => string | number'), "'hash': what is hashed.", 'the source address'),
    type: optional(
      oneOf('map', 'consistent'),
      "'hash': 'map' is fast and moves many keys when servers come and go, 'consistent' moves few.",
      "'consistent'",
    ),
    boundedLoad: optional(
      leaf(
        ['number'],
        { type: 'number', expected: '0 (off) or a whole percentage from 101 to 1000' },
        (value: number) =>
          value === 0 || (Number.isInteger(value) && value > 100 && value <= 1000)
            ? undefined
            : {
                message: `expected 0 (off) or a whole percentage from 101 to 1000, got ${show(value)}.`,
              },
      ),
      "'hash': most load of a server in percent of the mean, 125 is 1.25 x; for 'consistent' only.",
      '0 (off)',
    ),
  }),
)

const serverConfig = object<ServerConfig>({
  address: optional(
    text('an address'),
    "Where the server is: 'ip:port', '[v6]:port', 'host.name:port', 'unix:/path', 'unix:@name' (abstract, Linux only) or 'applet:NAME'. " +
      "The port '+0' is the one that the client came to (after a PROXY header), '+1000' or '-1000' one at that distance: " +
      'for a bind with a range of ports, such as those of passive FTP.',
    undefined,
    "'127.0.0.1:9001'",
  ),
  applet: optional(applet, 'An applet instead of an address.'),
  weight: optional(integer(0, 256), 'Share of the load; 0 drains.', defaults.weight),
  maxconn: optional(connections, 'Connections at once; more wait in the queue.', 'no limit'),
  backup: optional(
    flag,
    'Used only when every other server is down; of several the first one, unless `allBackups`.',
    false,
  ),
  state: optional(
    oneOf('ready', 'drain', 'maint'),
    "'drain' takes no new sessions but sticky ones, 'maint' none.",
    "'ready'",
  ),
  ...liveness,
  sendProxy: optional(
    either(
      'true, false, 1, 2 or { version: 1 | 2, ... }',
      flag,
      oneOf(1, 2),
      object<Exclude<NonNullable<ServerConfig['sendProxy']>, boolean | 1 | 2>>({
        version: required(oneOf(1, 2), 'Version of the header.'),
        uniqueId: optional(flag, "Send the connection's id (version 2).", false),
        crc32c: optional(flag, 'Send a checksum (version 2).', false),
        ssl: optional(
          either("true, false or 'cn'", flag, oneOf('cn')),
          "Send the client's TLS (version 2): version, cipher and verification, with 'cn' also the common name of its certificate.",
          false,
        ),
        authority: optional(
          flag,
          "Send the name that the client's TLS asked for (version 2).",
          false,
        ),
        tlvs: optional(
          either('true, false or a list of types', flag, list(integer(0, 255))),
          'Hand on the TLVs of the header that came in (version 2): all (true), or these types; not its checksum, and not what the other options send.',
          false,
          '[0xEA]',
        ),
      }),
    ),
    'Send a PROXY header of this version; true is 2.',
    false,
  ),
  tls: optional(
    serverTls,
    "Speak TLS to the server; true verifies its host name against the system's authorities.",
    false,
    "{ ca: '/etc/ssl/internal-ca.pem' }",
  ),
  socks: optional(
    object<NonNullable<ServerConfig['socks']>>({
      address: required(text('an address'), "The SOCKS proxy: 'ip:port'.", "'127.0.0.1:1080'"),
      version: optional(oneOf(4, 5), 'Version; 4 is SOCKS4a.', 5),
      user: optional(text(), 'User name (user id with version 4).', 'none'),
      password: optional(text(), 'Password (version 5).', 'none'),
    }),
    'Reach the server through a SOCKS proxy.',
    'off',
  ),
  source: optional(
    text('an address'),
    "Local address to connect from: 'ip', 'ip:port', or 'client' for the client's own (transparent).",
    "the kernel's choice",
    "'192.0.2.7'",
  ),
  id: optional(
    integer(1, MAX),
    'Number in logs, tables (`serverId`) and stickiness.',
    'position in the backend, from 1',
  ),
})

export const backend = object<BackendConfig>({
  mode: optional(mode, 'What is proxied.', "'tcp'"),
  balance: optional(
    balance,
    'How a server is chosen.',
    "'roundrobin'",
    "{ algorithm: 'hash', boundedLoad: 125 }",
  ),
  servers: required(
    named(
      either('an address, { address, ... } or an applet', text('an address'), serverConfig, applet),
    ),
    'Servers by name.',
    "{ a: '127.0.0.1:9001', b: { address: '127.0.0.1:9002', weight: 2 } }",
  ),
  maxqueue: optional(
    integer(0, MAX),
    'Sessions waiting for a slot; more are refused.',
    defaults.maxqueue,
  ),
  retries: optional(
    integer(0, 100),
    'Connect attempts after the first, each after `retryDelay`; and as many again at once, on servers and addresses that the session has not tried.',
    defaults.retries,
  ),
  redispatch: optional(
    leaf(
      ['boolean', 'number'],
      { type: 'boolean | number', expected: 'true, false or a number of failures' },
      (value: boolean | number) =>
        typeof value === 'boolean' || (Number.isInteger(value) && value >= 0)
          ? undefined
          : { message: `expected true, false or a number of failures, got ${show(value)}.` },
    ),
    'Go on with another server: at once (true) or after N failures on one.',
    'true; with `stick` after as many as there are retries',
  ),
  retryDelay: optional(
    duration(),
    'From the beginning of an attempt to the next, where nobody else is to be tried; at most the connect time-out.',
    `'${defaults.retryDelay}'`,
  ),
  allBackups: optional(
    flag,
    'Use every backup server once no other is usable, not the first alone.',
    false,
  ),
  passive: optional(
    either(
      'false or { failures, backoff, maxBackoff }',
      leaf(['boolean'], { type: 'false', expected: 'false' }, (value: boolean) =>
        value
          ? { message: 'expected false or { failures, backoff, maxBackoff }, got true.' }
          : undefined,
      ),
      object<Exclude<NonNullable<BackendConfig['passive']>, false>>({
        failures: optional(
          integer(1, 1_000_000),
          'Connect failures in a row that mark a server.',
          defaults.passive.failures,
        ),
        backoff: optional(
          duration(1),
          'Until a session is let through as a trial; its success takes the mark away.',
          `'${defaults.passive.backoff}'`,
        ),
        maxBackoff: optional(
          duration(1),
          'The time doubles with each trial that times out, up to this.',
          `'${defaults.passive.maxBackoff}', or backoff where that is longer`,
        ),
      }),
    ),
    'Passive failure marking: traffic goes to the servers without a mark, where there are any; false is off.',
    'on',
  ),
  stick: optional(
    object<NonNullable<BackendConfig['stick']>>({
      table: required(text(), 'A table that stores `serverId`.', "'affinity'"),
      key: optional(
        fn('(conn) => string | number | undefined'),
        'What sticks.',
        'the source address',
      ),
      mode: optional(
        oneOf('on', 'match', 'store'),
        "'on' matches and stores, 'match' only matches, 'store' only stores.",
        "'on'",
      ),
    }),
    'Stickiness: the same key goes to the same server.',
    'off',
  ),
  timeouts: optional(
    sectionTimeouts('server', 'serverFin', 'connect', 'queue', 'tunnel'),
    'Time-outs of this backend; the rest comes from `timeouts`.',
  ),
})
