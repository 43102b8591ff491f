import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError, SluiceError } from '#sluice/base/errors.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { Config } from '#sluice/config/types.js'
import { issues } from '../support/issues.js'

type Loose = Record<string, unknown>

const base = {
  frontends: { web: { bind: '127.0.0.1:8080', backend: 'app' } },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
}
const web = (frontend: Loose, rest: Loose = {}) => ({
  ...base,
  frontends: { web: { bind: '127.0.0.1:8080', backend: 'app', ...frontend } },
  ...rest,
})
const app = (backend: Loose, rest: Loose = {}) => ({
  ...base,
  backends: { app: { servers: { a: '127.0.0.1:9001' }, ...backend } },
  ...rest,
})
const server = (config: unknown) => app({ servers: { a: config } })
const applet = { kind: 'applet', name: 'echo', serve() {} }

/** One configuration and everything that is wrong with it. */
const cases: Record<string, [unknown, string[]]> = {
  'no object': [undefined, [': expected an object { frontends, backends, ... }, got undefined.']],
  null: [null, [': expected an object { frontends, backends, ... }, got null.']],
  'a list': [[], [': expected an object { frontends, backends, ... }, got a list.']],
  empty: [{}, ['frontends: is required.', 'backends: is required.']],
  'no frontend': [{ ...base, frontends: {} }, ['frontends: expected at least one frontend.']],
  'misspelt section': [{ ...base, timeout: { client: '1s' } }, ['timeout: is unknown. [timeouts]']],
  'misspelt required key': [
    { ...base, frontends: { web: { bnd: ':80', backend: 'app' } } },
    ['frontends.web.bnd: is unknown. [bind]'],
  ],
  'unknown key like nothing': [web({ colour: 'red' }), ['frontends.web.colour: is unknown.']],
  'name with a space': [
    { ...base, frontends: { 'my web': base.frontends.web } },
    [
      `frontends["my web"]: a name has letters, digits, '_', '-', '.' and ':' only, and begins with a letter, digit or '_'.`,
    ],
  ],
  'section of the wrong type': [
    { ...base, backends: 5 },
    ['backends: expected an object { NAME: ... }, got 5.'],
  ],

  // Units and numbers
  'duration without unit': [
    { ...base, timeouts: { client: 30 } },
    [
      "timeouts.client: expected a duration such as '250ms', '30s', '5m', '1h' or '1d', got 30 without a unit.",
    ],
  ],
  'duration with another unit': [
    { ...base, timeouts: { connect: '5sec' } },
    [
      "timeouts.connect: expected a duration such as '250ms', '30s', '5m', '1h' or '1d', got '5sec'. [5s]",
    ],
  ],
  'duration of another type': [
    { ...base, timeouts: { connect: true } },
    ["timeouts.connect: expected a duration such as '30s', got true."],
  ],
  'connect time-out of 0': [
    { ...base, timeouts: { connect: '0s' } },
    ["timeouts.connect: expected at least '1ms', got '0s'."],
  ],
  'keep-alive beyond the kernel': [
    web({ bind: { address: ':1', keepAlive: { idle: '10h', count: 200 } } }),
    [
      "frontends.web.bind.keepAlive.idle: expected at most '32767s', got '10h'.",
      'frontends.web.bind.keepAlive.count: expected a whole number from 1 to 127, got 200.',
    ],
  ],
  'keep-alive and sharing where there is no TCP': [
    web({
      bind: [
        { address: 'unix:/a', keepAlive: true, reusePort: true },
        { address: 'fd@3', reusePort: true },
      ],
    }),
    [
      "frontends.web.bind[0].keepAlive: is for TCP, not for 'unix:/a'.",
      "frontends.web.bind[0].reusePort: is for TCP, not for 'unix:/a'.",
      'frontends.web.bind[1].reusePort: is for sockets that are opened here, not inherited ones.',
    ],
  ],
  'size out of range': [
    web({ bind: { address: ':1', acceptProxy: { limit: '1MB' } } }),
    ["frontends.web.bind.acceptProxy.limit: expected '216B' to '64kB', got '1MB'."],
  ],
  'maxconn of 0': [
    { ...base, global: { maxconn: 0 } },
    ['global.maxconn: expected a whole number from 1 to 4194304, got 0.'],
  ],
  'maxconn as text': [
    { ...base, global: { maxconn: '100' } },
    ["global.maxconn: expected a whole number from 1 to 4194304, got '100'."],
  ],
  'half a worker': [
    { ...base, global: { workers: 0.5 } },
    ['global.workers: expected a whole number from 1 to 256, got 0.5.'],
  ],
  'misspelt value': [
    { ...base, global: { engine: 'nativ' } },
    ["global.engine: expected 'native', 'js' or 'auto', got 'nativ'. [native]"],
  ],
  'misspelt log level': [
    { ...base, log: { level: 'warning' } },
    [
      "log.level: expected 'trace', 'debug', 'info', 'warn', 'error' or 'silent', got 'warning'. [warn]",
    ],
  ],
  'a flag as text': [
    web({ bind: { address: ':1', health: 'yes' } }),
    ["frontends.web.bind.health: expected true or false, got 'yes'."],
  ],

  // Binds
  'bind of the wrong type': [
    web({ bind: 8080 }),
    [
      "frontends.web.bind: expected an address such as ':8080', { address, ... } or a list of these, got 8080.",
    ],
  ],
  'empty list of binds': [
    web({ bind: [] }),
    ['frontends.web.bind: expected at least one address, got an empty list.'],
  ],
  'bind without an address': [
    web({ bind: [{ port: 80 }] }),
    ['frontends.web.bind[0].address: is required.'],
  ],
  'wrong entry in a list of binds': [
    web({ bind: [':1', 7] }),
    ['frontends.web.bind[1]: expected an address or { address, ... }, got 7.'],
  ],
  'misspelt key of a bind in a list': [
    web({ bind: [':1', { adress: ':2' }] }),
    ['frontends.web.bind[1].adress: is unknown. [address]'],
  ],
  'wrong port': [
    web({ bind: { address: '127.0.0.1:70000' } }),
    ["frontends.web.bind.address: expected a port from 0 to 65535, got '70000'."],
  ],
  'mode that is no octal number': [
    web({ bind: { address: 'unix:/a', mode: '999' } }),
    ["frontends.web.bind.mode: expected permissions in octal such as '660', got '999'."],
  ],
  'TCP options on a unix socket': [
    web({ bind: { address: 'unix:/a', deferAccept: true, transparent: true } }),
    [
      "frontends.web.bind.deferAccept: is for TCP, not for 'unix:/a'.",
      "frontends.web.bind.transparent: is for TCP, not for 'unix:/a'.",
    ],
  ],
  'wrong CIDRs': [
    web({
      bind: { address: ':1', acceptProxy: { from: ['10.0.0.0/40', 'x'] } },
      monitor: { from: [] },
    }),
    [
      'frontends.web.monitor.from: expected at least one address, got an empty list.',
      "frontends.web.bind.acceptProxy.from[0]: expected a CIDR block or an address such as '10.0.0.0/8' or '2001:db8::/32', got '10.0.0.0/40': the prefix length of IPv4 goes from 0 to 32.",
      "frontends.web.bind.acceptProxy.from[1]: expected a CIDR block or an address such as '10.0.0.0/8' or '2001:db8::/32', got 'x'.",
    ],
  ],
  'a relative port that does not exist': [
    {
      frontends: {
        web: { bind: ['127.0.0.1:65000-65010', '127.0.0.1:64000'], backend: 'app' },
        local: { bind: 'unix:/run/a.sock', backend: 'local' },
        free: {
          bind: [{ address: 'unix:/run/b.sock', acceptProxy: true }, '127.0.0.1:0'],
          backend: 'free',
        },
      },
      backends: {
        app: { servers: { a: '10.0.0.1:+530', b: '10.0.0.1:+0', c: '10.0.0.1:-64999' } },
        local: { servers: { a: '10.0.0.1:+0' } },
        free: { servers: { a: '10.0.0.1:-9' } },
      },
    },
    [
      'backends.app.servers.a: has no port for clients of frontends.web.bind[0]: 65006 and 530 is 65536.',
      'backends.app.servers.c: has no port for clients of frontends.web.bind[1]: 64000 and -64999 is -999.',
      'backends.local.servers.a: has the port that a client came to, and those of frontends.local.bind, a unix socket, come to none.',
    ],
  ],
  'acceptProxy of the wrong type': [
    web({ bind: { address: ':1', acceptProxy: '10.0.0.0/8' } }),
    [
      "frontends.web.bind.acceptProxy: expected true, false or { from: [...], limit }, got '10.0.0.0/8'.",
    ],
  ],
  'same address twice': [
    {
      ...base,
      frontends: {
        web: { bind: ':80', backend: 'app' },
        api: { bind: ['127.0.0.1:80', '*:80'], backend: 'app' },
      },
    },
    ['frontends.api.bind[1]: 0.0.0.0:80 is bound already by frontends.web.bind.'],
  ],
  'ranges that overlap, told once': [
    web({ bind: ['127.0.0.1:8000-8010', '127.0.0.1:8005-8020'] }),
    ['frontends.web.bind[1]: 127.0.0.1:8005 is bound already by frontends.web.bind[0].'],
  ],
  'two spellings of one IPv6 address': [
    web({ bind: ['[::1]:80', '[0:0:0:0:0:0:0:1]:80'] }),
    ['frontends.web.bind[1]: [0:0:0:0:0:0:0:1]:80 is bound already by frontends.web.bind[0].'],
  ],
  'both families and IPv4 any': [
    web({ bind: ['[::]:80', ':80'] }),
    ['frontends.web.bind[1]: 0.0.0.0:80 is bound already by frontends.web.bind[0].'],
  ],
  'one unix socket twice': [
    web({ bind: ['unix:/a', 'unix@/a'] }),
    ['frontends.web.bind[1]: unix:/a is bound already by frontends.web.bind[0].'],
  ],
  'one descriptor twice': [
    web({ bind: ['fd@3', 'fd@3'] }),
    ['frontends.web.bind[1]: fd@3 is bound already by frontends.web.bind[0].'],
  ],
  'systemd without sockets': [
    web({ bind: 'systemd' }),
    [
      'frontends.web.bind: systemd passed no sockets (LISTEN_FDS is not set, or LISTEN_PID is another process).',
    ],
  ],

  // References
  'unknown backend': [
    web({ backend: 'ap' }),
    ["frontends.web.backend: there is no backend named 'ap'. [app]"],
  ],
  'unknown backend like nothing': [
    web({ backend: 'database' }),
    ["frontends.web.backend: there is no backend named 'database' (there is 'app')."],
  ],
  'no backend at all': [
    { ...base, backends: {} },
    ["frontends.web.backend: there is no backend named 'app' (none is defined)."],
  ],
  'nobody chooses a backend': [
    { ...base, frontends: { web: { bind: ':1', rules: { connection: [] } } } },
    ['frontends.web: has no backend, and no rule that could choose one.'],
  ],
  'rules that name what is not there': [
    web({
      rules: {
        connection: [{ kind: 'track', counter: 'sc0', key: 'x', table: 'perSource' }],
        session: [() => undefined, { kind: 'useBackend', backend: 'appp' }],
        handshake: [Object.assign(() => undefined, { table: 'other' })],
      },
    }),
    [
      "frontends.web.rules.connection[0]: there is no table named 'perSource' (none is defined).",
      "frontends.web.rules.handshake[0]: there is no table named 'other' (none is defined).",
      "frontends.web.rules.session[1]: there is no backend named 'appp'. [app]",
    ],
  ],
  'unknown applet': [
    app({ servers: { a: 'applet:eco' } }, { applets: { echo: applet } }),
    ["backends.app.servers.a: there is no applet named 'eco'. [echo]"],
  ],
  'unknown table to stick on': [
    app(
      { stick: { table: 'affinitty' } },
      {
        tables: { affinity: { key: 'ip', size: 1, store: { serverId: true } } },
      },
    ),
    ["backends.app.stick.table: there is no table named 'affinitty'. [affinity]"],
  ],
  'table without serverId to stick on': [
    app({ stick: { table: 't' } }, { tables: { t: { key: 'ip', size: 1 } } }),
    [
      "backends.app.stick.table: the table 't' does not store serverId; add store: { serverId: true } to it.",
    ],
  ],

  // Rules and handlers
  'wrong rules': [
    web({
      rules: {
        connection: [
          7,
          { kind: 'rejct' },
          { name: 'x', rnu() {} },
          { name: '', run: 1, deadline: '0s' },
        ],
        session: 'none',
      },
    }),
    [
      'frontends.web.rules.connection[0]: expected a rule: a function, a verdict, or { name, run }, got 7.',
      "frontends.web.rules.connection[1]: expected a verdict, got an object whose kind is 'rejct'. [reject]",
      'frontends.web.rules.connection[2].rnu: is unknown. [run]',
      "frontends.web.rules.connection[3].name: expected a string, got ''.",
      'frontends.web.rules.connection[3].run: expected a function, got 1.',
      "frontends.web.rules.connection[3].deadline: expected at least '1ms', got '0s'.",
      "frontends.web.rules.session: expected a list, got 'none'.",
    ],
  ],
  'wrong handshake rules': [
    web({
      rules: {
        handshake: [
          5,
          { name: 'x', run: 1, limit: 0, deadline: '3', onError: 'shut', speaksFirst: 'yes' },
          { name: 'y', run: () => undefined, limit: '1MB' },
          { name: 'z', onBytes: () => undefined, onTimeout: 'open' },
        ],
      },
    }),
    [
      'frontends.web.rules.handshake[0]: expected a rule: a function, a verdict, or { name, run }, got 5.',
      'frontends.web.rules.handshake[1].run: expected a function, got 1.',
      "frontends.web.rules.handshake[1].deadline: expected a duration such as '250ms', '30s', '5m', '1h' or '1d', got '3' without a unit.",
      "frontends.web.rules.handshake[1].onError: expected 'close' or 'open', got 'shut'.",
      "frontends.web.rules.handshake[1].limit: expected '1B' to '64kB', or a whole number of bytes, got 0.",
      "frontends.web.rules.handshake[1].speaksFirst: expected true or false, got 'yes'.",
      "frontends.web.rules.handshake[2].limit: expected '1B' to '64kB', or a whole number of bytes, got '1MB'.",
      'frontends.web.rules.handshake[3].run: is required.',
      "frontends.web.rules.handshake[3].onBytes: is unknown here: 'onBytes' is 'run' of a rule: (conn) => ..., with conn.bytes and conn.last.",
      "frontends.web.rules.handshake[3].onTimeout: is unknown here: 'onTimeout' is 'onError', or conn.last in the rule itself.",
    ],
  ],
  'words of older versions': [
    web({
      handshakes: [],
      tcpRequest: {},
      tlsRequest: {},
      defaultVerdict: 'reject',
      rules: {
        established: [],
        'tcp-request connection': [],
        content: [],
        inspectDelay: '1s',
        inspectLimit: '1kB',
        handshake: [{ name: 'x', run: () => undefined, timeout: '1s', maxBytes: 4 }],
      },
    }),
    [
      "frontends.web.rules.handshake[0].timeout: is unknown here: 'timeout' is 'timeouts', and 'deadline' of a rule.",
      "frontends.web.rules.handshake[0].maxBytes: is unknown here: 'maxBytes' is 'limit' of a rule in 'rules.handshake'.",
      "frontends.web.rules.established: is unknown here: 'established' is 'secured' in 'rules' of a frontend.",
      `frontends.web.rules["tcp-request connection"]: is unknown here: 'tcp-request connection' is 'connection', 'handshake' (for content) and 'session' in 'rules' of a frontend.`,
      "frontends.web.rules.content: is unknown here: 'content' is 'rules.handshake' of a frontend: rules with conn.bytes.",
      "frontends.web.rules.inspectDelay: is unknown here: 'inspectDelay' is 'deadline' of a rule in 'rules.handshake'.",
      "frontends.web.rules.inspectLimit: is unknown here: 'inspectLimit' is 'limit' of a rule in 'rules.handshake'.",
      "frontends.web.handshakes: is unknown here: 'handshakes' is 'rules.handshake' of a frontend: rules with conn.bytes.",
      "frontends.web.tcpRequest: is unknown here: 'tcpRequest' is 'connection', 'handshake' (for content) and 'session' in 'rules' of a frontend.",
      "frontends.web.tlsRequest: is unknown here: 'tlsRequest' is 'clientHello' and 'secured' in 'rules' of a frontend.",
      "frontends.web.defaultVerdict: is unknown here: 'defaultVerdict' is 'onError' of a frontend: 'close' or 'open'.",
    ],
  ],
  'TLS that is not to be started': [
    { ...web({ rules: { handshake: [{ kind: 'startTls' }] } }) },
    ["frontends.web.rules.handshake[0]: needs a bind with 'tls' and startTls: 'rule'."],
  ],
  'TLS that nobody could start, and none to start': [
    web({ bind: { address: '127.0.0.1:0', startTls: 'rule' } }),
    [
      "frontends.web.bind.startTls: needs 'tls': without it there is none to start.",
      "frontends.web.rules.handshake: expected a rule that answers startTls(), as a bind has startTls: 'rule'.",
    ],
  ],
  'an applet that cannot serve': [
    { ...base, applets: { a: { kind: 'applet', name: 'a' }, b: () => {} } },
    [
      'applets.a: expected an applet, as defineApplet(name, serve) makes it.',
      'applets.b: expected an applet, got a function.',
    ],
  ],

  // Backends and servers
  'no server': [app({ servers: {} }), ['backends.app.servers: expected at least one server.']],
  'wrong servers': [
    app({
      servers: {
        a: 5,
        b: 'localhost',
        c: { weight: 1 },
        d: { address: 'h:1', applet },
        e: { kind: 'applet', name: 'x' },
        f: { adress: 'h:1' },
        'a b': 'h:1',
      },
    }),
    [
      'backends.app.servers.a: expected an address, { address, ... } or an applet, got 5.',
      'backends.app.servers.e: expected an applet, as defineApplet(name, serve) makes it.',
      'backends.app.servers.f.adress: is unknown. [address]',
      `backends.app.servers["a b"]: a name has letters, digits, '_', '-', '.' and ':' only, and begins with a letter, digit or '_'.`,
      "backends.app.servers.b: expected 'ip:port', '[v6]:port', 'host.name:port', 'unix:/path' or 'applet:NAME', got 'localhost': the port is missing.",
      "backends.app.servers.c: has neither an 'address' nor an 'applet'.",
      "backends.app.servers.d: has both an 'address' and an 'applet'; one is enough.",
    ],
  ],
  'weight out of range': [
    server({ address: 'h:1', weight: 257 }),
    ['backends.app.servers.a.weight: expected a whole number from 0 to 256, got 257.'],
  ],
  'one id twice': [
    app({ servers: { a: { address: 'h:1', id: 7 }, b: { address: 'h:2', id: 7 } } }),
    ["backends.app.servers.b.id: the id 7 is taken by server 'a'."],
  ],
  'an id that is the position of another server': [
    app({ servers: { a: { address: 'h:1', id: 2 }, b: 'h:2' } }),
    ["backends.app.servers.b: its position gives it the id 2, which is taken by server 'a'."],
  ],
  'PROXY options': [
    app({
      servers: {
        a: { address: 'h:1', sendProxy: 3 },
        b: { address: 'h:1', sendProxy: { version: 1, crc32c: true } },
        c: { applet, sendProxy: true },
        d: { address: 'h:1', sendProxy: { version: 1, tlvs: true, authority: true } },
      },
    }),
    [
      'backends.app.servers.a.sendProxy: expected 1 or 2, got 3.',
      'backends.app.servers.b.sendProxy.crc32c: needs version 2.',
      'backends.app.servers.c.sendProxy: is for sockets, and this server is an applet.',
      'backends.app.servers.d.sendProxy.authority: needs version 2.',
      'backends.app.servers.d.sendProxy.tlvs: needs version 2.',
    ],
  ],
  'SOCKS options': [
    app({
      servers: {
        a: { address: 'h:1', socks: { address: 'proxy:1080' } },
        b: { address: 'h:1', socks: { address: '127.0.0.1:1', version: 4, password: 'p' } },
        c: { address: 'h:1', socks: { address: '127.0.0.1:1', password: 'p' } },
        d: { address: 'h:1', socks: { address: '127.0.0.1:1', user: 'u' } },
        e: { address: 'unix:/a', socks: { address: '127.0.0.1:1' }, source: 'client' },
        f: {
          address: 'h:1',
          socks: { address: '127.0.0.1:1', user: 'u'.repeat(256), password: 'p' },
        },
      },
    }),
    [
      "backends.app.servers.a.socks.address: expected 'ip:port' or '[v6]:port', got 'proxy:1080': 'proxy' is no IP address.",
      'backends.app.servers.b.socks.password: needs version 5.',
      "backends.app.servers.c.socks.password: needs a 'user'.",
      "backends.app.servers.d.socks.user: needs a 'password' with version 5.",
      'backends.app.servers.e.socks: is for TCP, and this server is a unix socket.',
      'backends.app.servers.e.source: is for TCP, and this server is a unix socket.',
      'backends.app.servers.f.socks.user: has at most 255 bytes.',
    ],
  ],
  'source of the other family': [
    app({
      servers: {
        a: { address: '127.0.0.1:1', source: '::1' },
        b: { address: '[::1]:1', source: '127.0.0.1:5' },
        c: { address: 'name:1', source: '::1', socks: { address: '127.0.0.1:1' } },
        d: { address: 'name:1', source: '::1' },
        e: { address: '[::1]:1', source: '127.0.0.1', socks: { address: '127.0.0.1:1' } },
      },
    }),
    [
      "backends.app.servers.a.source: expected an IPv4 address, as that of the server, got '::1'.",
      "backends.app.servers.b.source: expected an IPv6 address, as that of the server, got '127.0.0.1'.",
      "backends.app.servers.c.source: expected an IPv4 address, as that of the SOCKS proxy, got '::1'.",
    ],
  ],
  'link-local addresses without an interface': [
    app({
      servers: {
        a: '[fe80::1]:1',
        b: { address: '[fe80::1%lo]:1', source: 'febf::1' },
      },
    }),
    [
      "backends.app.servers.a: expected 'ip:port', '[v6]:port', 'host.name:port', 'unix:/path' or 'applet:NAME', got '[fe80::1]:1': a link-local address needs its interface: '[fe80::1%eth0]:8080'.",
      "backends.app.servers.b.source: expected 'ip', 'ip:port' or '[v6]:port', got 'febf::1': a link-local address needs its interface: '[fe80::1%eth0]:8080'.",
    ],
  ],
  'a reply for monitors that no engine takes': [
    web({ monitor: { from: ['127.0.0.1'], reply: 'x'.repeat(2 ** 20 + 1) } }),
    ['frontends.web.monitor.reply: expected at most 1048576 bytes, got 1048577.'],
  ],
  'deadlines beyond what a timer holds': [
    web({
      rules: { session: [{ name: 'a', run: () => undefined, deadline: '25d' }] },
    }),
    [
      "frontends.web.rules.session[0].deadline: expected at most '2147483647ms' (about 24.8 days), got '25d'.",
    ],
  ],
  'TLVs that are never handed on': [
    server({ address: '127.0.0.1:1', sendProxy: { version: 2, tlvs: [1, 3, 4] } }),
    [
      "backends.app.servers.a.sendProxy.tlvs[1]: 3 is the checksum of the header that came in; 'crc32c' sends one of the header that goes out.",
      'backends.app.servers.a.sendProxy.tlvs[2]: 4 is padding, which is not handed on.',
    ],
  ],
  'what the js engine cannot do': [
    {
      global: { engine: 'js' },
      frontends: {
        web: {
          bind: { address: '127.0.0.1:8000-8001', userTimeout: '5s', transparent: true },
          backend: 'app',
        },
      },
      backends: {
        app: {
          servers: { a: { address: '10.0.0.1:1', source: 'client', userTimeout: '5s' } },
        },
      },
    },
    [
      "frontends.web.bind.userTimeout: is not possible with global.engine 'js'; the native engine has it.",
      "frontends.web.bind.transparent: is not possible with global.engine 'js'; the native engine has it.",
      "backends.app.servers.a.userTimeout: is not possible with global.engine 'js'; the native engine has it.",
      "backends.app.servers.a.source: 'client' is not possible with global.engine 'js'; the native engine has it.",
    ],
  ],
  'wrong source': [
    server({ address: 'h:1', source: 'eth0' }),
    [
      "backends.app.servers.a.source: expected 'ip', 'ip:port' or '[v6]:port', got 'eth0': 'eth0' is no IP address.",
    ],
  ],
  'misspelt algorithm': [
    app({ balance: 'rounrobin' }),
    [
      "backends.app.balance: expected 'roundrobin', 'leastconn', 'first', 'random' or 'source', got 'rounrobin'. [roundrobin]",
    ],
  ],
  'balance of the wrong type': [
    app({ balance: 1 }),
    [
      "backends.app.balance: expected an algorithm, { algorithm: 'random', ... } or { algorithm: 'hash', ... }, got 1.",
    ],
  ],
  'options of another algorithm': [
    app({ balance: { algorithm: 'random', key: () => 1 } }),
    ["backends.app.balance.key: is not for the algorithm 'random'."],
  ],
  'draws for a hash': [
    app({ balance: { algorithm: 'hash', draws: 2 } }),
    ["backends.app.balance.draws: is not for the algorithm 'hash'."],
  ],
  'bounded load without consistent hash': [
    app({ balance: { algorithm: 'hash', type: 'map', boundedLoad: 125 } }),
    ["backends.app.balance.boundedLoad: needs the type 'consistent'."],
  ],
  'bounded load below the mean': [
    app({ balance: { algorithm: 'hash', boundedLoad: 80 } }),
    [
      'backends.app.balance.boundedLoad: expected 0 (off) or a whole percentage from 101 to 1000, got 80.',
    ],
  ],
  'redispatch that never happens': [
    app({ retries: 1, redispatch: 2 }),
    ['backends.app.redispatch: happens after 2 failures, but retries is 1.'],
  ],
  'redispatch of the wrong type': [
    app({ redispatch: 'yes' }),
    ["backends.app.redispatch: expected true, false or a number of failures, got 'yes'."],
  ],
  'negative redispatch': [
    app({ redispatch: -1 }),
    ['backends.app.redispatch: expected true, false or a number of failures, got -1.'],
  ],
  'passive: true': [
    app({ passive: true }),
    ['backends.app.passive: expected false or { failures, backoff, maxBackoff }, got true.'],
  ],
  'back-off above its maximum': [
    app({ passive: { backoff: '10s', maxBackoff: '5s' } }),
    [
      "backends.app.passive.maxBackoff: is '5s', less than backends.app.passive.backoff, " +
        "which is '10s'. Raise it, or lower that one.",
    ],
  ],

  // Tables
  'table without key and size': [
    { ...base, tables: { t: {} } },
    ['tables.t.key: is required.', 'tables.t.size: is required.'],
  ],
  'table with wrong values': [
    {
      ...base,
      tables: { t: { key: 'ipv5', size: 2 ** 30, store: { connRate: true, connCurr: true } } },
    },
    [
      "tables.t.key: expected 'ip', 'ipv6', 'integer', 'string' or 'binary', got 'ipv5'. [ipv6]",
      'tables.t.size: expected a whole number from 1 to 16777216, got 1073741824.',
      "tables.t.store.connRate: expected a duration such as '30s', got true.",
      'tables.t.store.connCurr: is unknown. [connCur]',
    ],
  ],
  'key length of addresses': [
    { ...base, tables: { t: { key: 'ip', size: 1, keyLength: 16 } } },
    ["tables.t.keyLength: is for keys of type 'string' or 'binary', not 'ip'."],
  ],
  'gpc0Rate without gpc0': [
    { ...base, tables: { t: { key: 'ip', size: 1, store: { gpc0: false, gpc0Rate: '1s' } } } },
    ['tables.t.store.gpc0Rate: needs gpc0, which is false.'],
  ],
}

for (const [name, [config, expected]] of Object.entries(cases)) {
  test(`error: ${name}`, () => assert.deepEqual(issues(config), expected))
}

test('every error at once, of every kind, in one message with the file', () => {
  const config = {
    ...web({ backend: 'ap', maxcon: 1 }),
    timeouts: { client: '30' },
  }
  assert.throws(() => resolveConfig(config as unknown as Config, { file: 'sluice.config.ts' }), {
    name: 'ConfigError',
    file: 'sluice.config.ts',
    message: [
      'sluice.config.ts: 3 errors',
      "  frontends.web.maxcon: is unknown. Did you mean 'maxconn'?",
      "  timeouts.client: expected a duration such as '250ms', '30s', '5m', '1h' or '1d', got '30' without a unit.",
      "  frontends.web.backend: there is no backend named 'ap'. Did you mean 'app'?",
    ].join('\n'),
  })
})

test('the configuration that was given is not changed, not even where it is wrong', () => {
  const config = web({ maxcon: 1, bind: [':1', { adress: 'x' }] })
  const copy = structuredClone(config)
  assert.equal(issues(config).length, 2)
  assert.deepEqual(config, copy)
})

test('only what is wrong with a configuration is a ConfigError', () => {
  assert.ok(new ConfigError([{ path: 'a', message: 'b' }]) instanceof ConfigError)
  assert.ok(new ConfigError([]) instanceof SluiceError)
  assert.ok(!(new SluiceError('ERR_SLUICE_TLS', 'a') instanceof ConfigError))
  assert.ok(!(new Error('a') instanceof ConfigError))
  assert.ok(!((null as unknown) instanceof ConfigError))
})
