/**
 * The configuration as users write it. Generated from the options declared in
 * this folder by `npm run generate`. Do not edit.
 */

import type { Cidr } from '../address/set.js'
import type { Duration, Size } from '../base/units.js'
import type { ClientHello } from '../codec/tls.js'
import type { Applet } from '../policy/applet.js'
import type { Started } from '../policy/live.js'
import type { At, BackendNames, Names, NamesIn, Using } from '../policy/names.js'
import type { Plugin } from '../policy/plugin.js'
import type { HandshakeRules, Rules } from '../policy/rule.js'
import type { Connection, TlsInfo } from '../policy/types.js'

/** A configuration. The names in it are for the compiler: `Config` alone has any. */
export interface Config<Frontends extends string = string, Backends = BackendNames, Tables extends string = string, Used extends string = string> {
  /** The process. */
  global?: GlobalConfig
  /** Stick tables by name. */
  tables?: Record<Tables, TableConfig>
  /** Applets by name, for servers at 'applet:NAME'. */
  applets?: Record<string, Applet>
  /** Frontends by name: where clients come in. */
  frontends: Using<Used, Record<Frontends, FrontendConfig<Names<Used, Used>>>, Record<Frontends, FrontendConfig<NamesIn<Backends, Tables, Used>>>>
  /** Backends by name: where sessions go. */
  backends: Using<Used, Record<string, BackendConfig<Names<Used, Used>>>, { [Name in keyof Backends]: BackendConfig<NamesIn<Backends, Tables, Used>, Backends[Name]> }>
  /** Plugins for every frontend: before its own, and set up once for all. Default: none. */
  plugins?: Plugin[]
  /**
   * Called with the proxy once everything listens, for what goes on beside the rules; it is over
   * with `proxy.signal`. Where it fails, the proxy stops.
   */
  started?: Started<NoInfer<Backends>, NoInfer<Tables>>
  /** Defaults for every frontend and backend. */
  timeouts?: TimeoutsConfig
  /** The log of the process. */
  log?: LogConfig
}

export interface GlobalConfig {
  /**
   * Connections at once in the process; accepting pauses at the limit. More than the fd limit
   * allows is lowered, with a warning. Memory is taken as they come. Default: from the fd limit
   * (two descriptors a session, half of one for its share of a pipe, 64 others), at most 65536.
   */
  maxconn?: number
  /**
   * Pipes for bulk payload at once (splice), two descriptors each; beyond them payload is copied. 0
   * is off. Default: a quarter of maxconn.
   */
  maxpipes?: number
  /** Engine threads. Default 1. */
  workers?: number
  /** Which engine moves the bytes; 'auto' takes native where the addon loads. Default 'auto'. */
  engine?: 'native' | 'js' | 'auto'
  /**
   * Look for events for 200 microseconds before the thread of the policies sleeps: they are
   * answered sooner while traffic is sparse, for more CPU. Native engine only. Default false.
   */
  busyPoll?: boolean
  /**
   * The thread of the policies takes the workers' turns itself while traffic is sparse (leader and
   * follower): a client at a time waits for no hand-over between threads. Native engine only;
   * without effect beside busyPoll. Default true.
   */
  lead?: boolean
  /** Longest time for one answer of a policy; then 'onError' decides. Default '5s'. */
  verdictTimeout?: Duration
  /** TLS handshakes with clients at once. */
  tlsHandshakes?: {
    /** In each worker; more wait. Default 1024. */
    concurrent?: number
    /** In the process. Default: no limit of its own. */
    total?: number
    /** Longest queue of those that wait; more are closed. Default 4096. */
    queue?: number
    /** Longest wait; at most `verdictTimeout`. Default '3s'. */
    queueTimeout?: Duration
  }
  /**
   * How often files of certificates and keys are looked at, and read again where they have changed;
   * '0s' is off. Default '10s'.
   */
  tlsReload?: Duration
  /** How long `stop()` and SIGTERM wait for sessions to end. Default '30s'. */
  drainTimeout?: Duration
  /**
   * How long `stop()` and SIGTERM go on accepting while health and monitor say no already, so that
   * who balances in front sends nobody any more. Then sessions drain. Default '0s'.
   */
  grace?: Duration
  /** How often host names of servers are resolved again. Default '30s'. */
  resolveInterval?: Duration
}

export interface TableConfig {
  /** Type of the key. */
  key: TableKeyType
  /** Most entries; the least recently used one goes first. */
  size: number
  /** An entry that is not touched for this long is forgotten. Default: never. */
  expire?: Duration
  /** Longest string or binary key in bytes; longer ones are cut. Default 32. */
  keyLength?: number
  /** What is kept for each key. Rates name their window. Default: nothing but the key. */
  store?: {
    /** Connections now. Default false. */
    connCur?: boolean
    /** Connections so far. Default false. */
    connCnt?: boolean
    /** Connections within this window. Default: off. */
    connRate?: Duration
    /** Sessions so far. Default false. */
    sessCnt?: boolean
    /** Sessions within this window. Default: off. */
    sessRate?: Duration
    /** Bytes from clients. Default false. */
    bytesInCnt?: boolean
    /** Bytes to clients. Default false. */
    bytesOutCnt?: boolean
    /** Bytes from clients within this window. Default: off. */
    bytesInRate?: Duration
    /** Bytes to clients within this window. Default: off. */
    bytesOutRate?: Duration
    /** First general-purpose counter. Default false. */
    gpc0?: boolean
    /** Second general-purpose counter. Default false. */
    gpc1?: boolean
    /** Increments of gpc0 within this window. Default: off. */
    gpc0Rate?: Duration
    /** General-purpose tag. Default false. */
    gpt0?: boolean
    /** The server that a key sticks to. Default false. */
    serverId?: boolean
  }
}

export type TableKeyType = 'ip' | 'ipv6' | 'integer' | 'string' | 'binary'

export interface FrontendConfig<N extends Names = Names> {
  /** What is proxied. Default 'tcp'. */
  mode?: 'tcp'
  /** Where to listen. */
  bind: string | BindConfig<N> | (string | BindConfig<N>)[]
  /** Default backend. Default: none: rules choose. */
  backend?: N['backend']
  /** Connections at once; accepting pauses at the limit. Default: global.maxconn. */
  maxconn?: number
  /** Replies to monitoring systems. Default: off. */
  monitor?: MonitorConfig
  /** Rules by stage, in the order in which they run. */
  rules?: {
    /** Rules right after the PROXY header, before a session exists. Default: none. */
    connection?: Rules<Connection, At<'connection', N>>
    /**
     * Rules with the ClientHello: they may choose certificate, client certificate demand and
     * backend, let it through, or reject. Default: none.
     */
    clientHello?: Rules<Connection & { readonly hello: ClientHello }, At<'clientHello', N>>
    /**
     * Rules when TLS is complete, before the session: certificate, cipher and version are in
     * `conn.tls`. Default: none.
     */
    secured?: Rules<Connection & { readonly tls: TlsInfo }, At<'secured', N>>
    /**
     * Rules with the first bytes, behind TLS those that were decrypted: they may wait for more,
     * take bytes away or put others in their place, answer, and start TLS. Default: none.
     */
    handshake?: HandshakeRules<At<'handshake', N>>
    /** Rules when the session is made. Default: none. */
    session?: Rules<Connection, At<'session', N>>
  }
  /** Plugins, whose rules run before those above. Default: none. */
  use?: Plugin[]
  /**
   * What a late or failed policy means; 'open' goes on to the default backend. On a bind with `tls`
   * an engine that waits for policy in vain always closes. Default 'close'.
   */
  onError?: 'close' | 'open'
  /** Time-outs of this frontend; the rest comes from `timeouts`. */
  timeouts?: {
    /** Client inactivity; '0s' is off. Default: timeouts.client. */
    client?: Duration
    /** Client inactivity once one side is shut. Default: timeouts.clientFin. */
    clientFin?: Duration
    /** From accept to the session: PROXY header, handshake rules. Default: timeouts.handshake. */
    handshake?: Duration
  }
  /** Log of this frontend. */
  log?: FrontendLogConfig
}

export interface BindConfig<N extends Names = Names> {
  /**
   * Where to listen: '127.0.0.1:8080', '[::1]:8080', ':8080' or '*:8080' (IPv4 any), '[::]:8080',
   * '127.0.0.1:8000-8010' (a range of ports), 'unix:/run/a.sock' or 'unix@/run/a.sock',
   * '[fe80::1%eth0]:8080' (of an interface), 'unix:@name' (abstract, Linux only), 'fd@3', 'systemd'
   * (every LISTEN_FDS socket) or 'systemd@NAME'. 'localhost' is 127.0.0.1.
   */
  address: string
  /** Port or range of ports, where the address has none. */
  port?: number | string
  /** On '[::]': IPv6 only (true) or both families (false). Default false. */
  v6only?: boolean
  /**
   * Connections that the kernel holds until they are accepted; the kernel caps it (somaxconn).
   * Default 4096.
   */
  backlog?: number
  /** Connections at once on this bind; accepting pauses at the limit. Default: the frontend's. */
  maxconn?: number
  /**
   * Wait in the kernel for the first bytes (TCP_DEFER_ACCEPT), in whole seconds; true is 1 s.
   * Default false.
   */
  deferAccept?: boolean | Duration
  /** Queue length of TCP Fast Open. Default: off. */
  fastOpen?: number
  /**
   * Probe silent connections (SO_KEEPALIVE), so that a peer that has vanished is noticed and NAT
   * does not forget them. Times are whole seconds, rounded up. Default true.
   */
  keepAlive?: boolean | KeepAliveConfig
  /**
   * Longest time that bytes may stay unacknowledged, or a peer may keep its window shut
   * (TCP_USER_TIMEOUT); '0s' is the kernel's. Default '0s'.
   */
  userTimeout?: Duration
  /**
   * Share the port with other processes that ask for it too (SO_REUSEPORT), so that a new one can
   * take over from an old one; otherwise a port that is taken is an error. Default false.
   */
  reusePort?: boolean
  /** Accept for foreign addresses (IP_TRANSPARENT; needs privileges). Default false. */
  transparent?: boolean
  /** `conn.dst` is the destination before NAT (SO_ORIGINAL_DST). Default false. */
  originalDst?: boolean
  /** Expect a PROXY header: from everybody (true) or from these sources only. Default false. */
  acceptProxy?: boolean | {
    /** Sources that send PROXY headers; everybody else is rejected. Default: everybody. */
    from?: Cidr[]
    /**
     * Most bytes of addresses and TLVs (a client certificate, say) in a version 2 header. A longer
     * one is refused as `proxy-too-long`. Default '16kB'.
     */
    limit?: Size
  }
  /** Permissions of a unix socket. Default: by the umask. */
  mode?: string
  /** Answer every connection with 'OK' and close it. Default false. */
  health?: boolean
  /**
   * Terminate TLS. A list gives sets of certificates options of their own; the first set serves
   * names that no certificate is for. Default: off.
   */
  tls?: DownstreamTlsConfig | DownstreamTlsConfig[]
  /**
   * When TLS begins: with the first byte ('accept'), or when a handshake rule answers startTls()
   * ('rule'): SMTP's STARTTLS, PostgreSQL's SSLRequest. With 'rule' a client for which none does is
   * closed, unless one answers accept(). Default 'accept'.
   */
  startTls?: 'accept' | 'rule'
  /**
   * Route by TLS server name without terminating: 'name', '*.name' (one label) or '*' (the rest),
   * to backends. Names that are not here are terminated where there is `tls`, and go through to the
   * default backend where there is none. Default: off.
   */
  sniRoutes?: Record<string, N['backend']>
}

/** TCP keep-alive. Times are whole seconds, rounded up. */
export interface KeepAliveConfig {
  /** Silence before the first probe. Default '1m'. */
  idle?: Duration
  /** Between probes. Default '15s'. */
  interval?: Duration
  /** Probes without an answer that end the connection. Default 4. */
  count?: number
}

export interface DownstreamTlsConfig {
  /**
   * PEM file(s) or folders, relative to the working folder. A file holds a chain and, unless `key`
   * names it, its key. In a folder every NAME.pem or NAME.crt is one, with its key inside or in
   * NAME.key, and an OCSP response in NAME.ocsp; files come before folders. RSA and ECDSA
   * certificates of the same name stand side by side.
   */
  cert?: string | string[]
  /** Key of `cert`, where that is one file. Default: in `cert`. */
  key?: string
  /** OCSP response to staple to `cert`, where that is one file. Default: none. */
  ocsp?: string
  /** More certificates, each with its files. Default: none. */
  certificates?: CertificateConfig[]
  /**
   * Refuse names that no certificate is for, instead of showing the first certificate. Default
   * false.
   */
  strictSni?: boolean
  /** Ask clients for a certificate, and verify it against `ca`. Default 'none'. */
  clientCert?: 'none' | 'optional' | 'required'
  /** Resume sessions by tickets. Default true. */
  tickets?: boolean | {
    /** Age at which the keys of tickets are rotated. Default '6h'. */
    rotate?: Duration
  }
  /** Most sessions kept for resumption without tickets; 0 keeps none. Default 4096. */
  sessionCache?: number
  /** Protocols in order of preference. Default: ALPN is not used. */
  alpn?: string[]
  /** Oldest version. Default 'TLSv1.2'. */
  minVersion?: TlsVersion
  /** Newest version. Default 'TLSv1.3'. */
  maxVersion?: TlsVersion
  /**
   * Cipher suites in order of preference, by IANA names: `TLS_AES_128_GCM_SHA256`,
   * `TLS_AES_256_GCM_SHA384`, `TLS_CHACHA20_POLY1305_SHA256`,
   * `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`, `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`,
   * `TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384`, `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`,
   * `TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256`, `TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256`.
   * Default: the engine's.
   */
  ciphers?: string[]
  /**
   * Key exchange groups in order of preference. X25519MLKEM768 is for the native engine. Default:
   * the engine's.
   */
  groups?: string[]
  /**
   * PEM file(s) of the authorities that peers' certificates are verified against. Default: none for
   * clients, those of the system for servers.
   */
  ca?: string | string[]
  /** PEM file(s) of revocation lists. Default: none. */
  crl?: string | string[]
}

/** One file (or directory) for chain and key, or two. */
export interface CertificateConfig {
  /** PEM file: the certificate, then its issuers, and the key unless `key` has it. */
  cert: string
  /** PEM file of the key. Default: in `cert`. */
  key?: string
  /** OCSP response to staple. Default: none. */
  ocsp?: string
}

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3'

export interface MonitorConfig {
  /** Sources that get the reply instead of service, before everything else. */
  from: Cidr[]
  /** What they get. Default 'HTTP/1.0 200 OK\r\n\r\n'. */
  reply?: string
}

export interface FrontendLogConfig {
  /** Log one session in N; 0 logs errors only. Errors are always logged. Default 1. */
  sample?: number
  /**
   * A line of its own for each session that is still open after so long: tunnels have one at their
   * end only otherwise. '0s' is off. Default '0s'.
   */
  openAfter?: Duration
}

export interface BackendConfig<N extends Names = Names, Servers = Record<string, unknown>> {
  /** What is proxied. Default 'tcp'. */
  mode?: 'tcp'
  /** How a server is chosen. Default 'roundrobin'. */
  balance?: BalanceConfig
  /** Servers by name. */
  servers: { [Name in keyof Servers]: string | ServerConfig | Applet }
  /** Sessions waiting for a slot; more are refused. Default 1024. */
  maxqueue?: number
  /**
   * Connect attempts after the first, each after `retryDelay`; and as many again at once, on
   * servers and addresses that the session has not tried. Default 3.
   */
  retries?: number
  /**
   * Go on with another server: at once (true) or after N failures on one. Default true; with
   * `stick` after as many as there are retries.
   */
  redispatch?: boolean | number
  /**
   * From the beginning of an attempt to the next, where nobody else is to be tried; at most the
   * connect time-out. Default '1s'.
   */
  retryDelay?: Duration
  /** Use every backup server once no other is usable, not the first alone. Default false. */
  allBackups?: boolean
  /**
   * Passive failure marking: traffic goes to the servers without a mark, where there are any; false
   * is off. Default: on.
   */
  passive?: false | {
    /** Connect failures in a row that mark a server. Default 3. */
    failures?: number
    /** Until a session is let through as a trial; its success takes the mark away. Default '1s'. */
    backoff?: Duration
    /**
     * The time doubles with each trial that times out, up to this. Default '10s', or backoff where
     * that is longer.
     */
    maxBackoff?: Duration
  }
  /** Stickiness: the same key goes to the same server. Default: off. */
  stick?: {
    /** A table that stores `serverId`. */
    table: N['table']
    /** What sticks. Default: the source address. */
    key?: (conn: Connection) => string | number | undefined
    /** 'on' matches and stores, 'match' only matches, 'store' only stores. Default 'on'. */
    mode?: 'on' | 'match' | 'store'
  }
  /** Time-outs of this backend; the rest comes from `timeouts`. */
  timeouts?: {
    /** Server inactivity; '0s' is off. Default: timeouts.server. */
    server?: Duration
    /** Server inactivity once one side is shut. Default: timeouts.serverFin. */
    serverFin?: Duration
    /** From the first connect to the end of the outgoing handshakes. Default: timeouts.connect. */
    connect?: Duration
    /** Longest wait for a server slot. Default: timeouts.queue. */
    queue?: Duration
    /**
     * Inactivity once both sides have sent payload; replaces client and server. Default:
     * timeouts.tunnel.
     */
    tunnel?: Duration
  }
}

export type BalanceConfig = 'roundrobin' | 'leastconn' | 'first' | 'random' | 'source' | {
  /** The algorithm that has options. */
  algorithm: 'random'
  /** 'random': servers drawn, of which the least loaded is taken. Default 2. */
  draws?: number
} | {
  /** The algorithm that has options. */
  algorithm: 'hash'
  /** 'hash': what is hashed. Default: the source address. */
  key?: (conn: Connection) => string | number
  /**
   * 'hash': 'map' is fast and moves many keys when servers come and go, 'consistent' moves few.
   * Default 'consistent'.
   */
  type?: 'map' | 'consistent'
  /**
   * 'hash': most load of a server in percent of the mean, 125 is 1.25 x; for 'consistent' only.
   * Default 0 (off).
   */
  boundedLoad?: number
}

export interface ServerConfig {
  /**
   * Where the server is: 'ip:port', '[v6]:port', 'host.name:port', 'unix:/path', 'unix:@name'
   * (abstract, Linux only) or 'applet:NAME'. The port '+0' is the one that the client came to
   * (after a PROXY header), '+1000' or '-1000' one at that distance: for a bind with a range of
   * ports, such as those of passive FTP.
   */
  address?: string
  /** An applet instead of an address. */
  applet?: Applet
  /** Share of the load; 0 drains. Default 1. */
  weight?: number
  /** Connections at once; more wait in the queue. Default: no limit. */
  maxconn?: number
  /**
   * Used only when every other server is down; of several the first one, unless `allBackups`.
   * Default false.
   */
  backup?: boolean
  /** 'drain' takes no new sessions but sticky ones, 'maint' none. Default 'ready'. */
  state?: 'ready' | 'drain' | 'maint'
  /**
   * Probe silent connections (SO_KEEPALIVE), so that a peer that has vanished is noticed and NAT
   * does not forget them. Times are whole seconds, rounded up. Default true.
   */
  keepAlive?: boolean | KeepAliveConfig
  /**
   * Longest time that bytes may stay unacknowledged, or a peer may keep its window shut
   * (TCP_USER_TIMEOUT); '0s' is the kernel's. Default '0s'.
   */
  userTimeout?: Duration
  /** Send a PROXY header of this version; true is 2. Default false. */
  sendProxy?: boolean | 1 | 2 | {
    /** Version of the header. */
    version: 1 | 2
    /** Send the connection's id (version 2). Default false. */
    uniqueId?: boolean
    /** Send a checksum (version 2). Default false. */
    crc32c?: boolean
    /**
     * Send the client's TLS (version 2): version, cipher and verification, with 'cn' also the
     * common name of its certificate. Default false.
     */
    ssl?: boolean | 'cn'
    /** Send the name that the client's TLS asked for (version 2). Default false. */
    authority?: boolean
    /**
     * Hand on the TLVs of the header that came in (version 2): all (true), or these types; not its
     * checksum, and not what the other options send. Default false.
     */
    tlvs?: boolean | number[]
  }
  /**
   * Speak TLS to the server; true verifies its host name against the system's authorities. Default
   * false.
   */
  tls?: boolean | UpstreamTlsConfig
  /** Reach the server through a SOCKS proxy. Default: off. */
  socks?: {
    /** The SOCKS proxy: 'ip:port'. */
    address: string
    /** Version; 4 is SOCKS4a. Default 5. */
    version?: 4 | 5
    /** User name (user id with version 4). Default: none. */
    user?: string
    /** Password (version 5). Default: none. */
    password?: string
  }
  /**
   * Local address to connect from: 'ip', 'ip:port', or 'client' for the client's own (transparent).
   * Default: the kernel's choice.
   */
  source?: string
  /**
   * Number in logs, tables (`serverId`) and stickiness. Default: position in the backend, from 1.
   */
  id?: number
}

export interface UpstreamTlsConfig {
  /**
   * 'required' verifies the server's certificate against `ca`; 'none' takes any, and says so in the
   * log. Default 'required'.
   */
  verify?: 'required' | 'none'
  /**
   * Name for SNI and verification. A function gets the client's connection; undefined takes the
   * default. Default: the host name or IP address of the server.
   */
  serverName?: string | ((conn: Connection) => string | undefined)
  /** Certificate to show to servers that ask for one. Default: none. */
  cert?: string
  /** Its key. Default: in `cert`. */
  key?: string
  /** Resume sessions. Default true. */
  resumption?: boolean
  /** Protocols in order of preference. Default: ALPN is not used. */
  alpn?: string[]
  /** Oldest version. Default 'TLSv1.2'. */
  minVersion?: TlsVersion
  /** Newest version. Default 'TLSv1.3'. */
  maxVersion?: TlsVersion
  /**
   * Cipher suites in order of preference, by IANA names: `TLS_AES_128_GCM_SHA256`,
   * `TLS_AES_256_GCM_SHA384`, `TLS_CHACHA20_POLY1305_SHA256`,
   * `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`, `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`,
   * `TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384`, `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`,
   * `TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256`, `TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256`.
   * Default: the engine's.
   */
  ciphers?: string[]
  /**
   * Key exchange groups in order of preference. X25519MLKEM768 is for the native engine. Default:
   * the engine's.
   */
  groups?: string[]
  /**
   * PEM file(s) of the authorities that peers' certificates are verified against. Default: none for
   * clients, those of the system for servers.
   */
  ca?: string | string[]
  /** PEM file(s) of revocation lists. Default: none. */
  crl?: string | string[]
}

export interface TimeoutsConfig {
  /** Client inactivity; '0s' is off. Default '1h'. */
  client?: Duration
  /** Server inactivity; '0s' is off. Default '1h'. */
  server?: Duration
  /** From the first connect to the end of the outgoing handshakes. Default '5s'. */
  connect?: Duration
  /** Client inactivity once one side is shut. Default '1m', at most client. */
  clientFin?: Duration
  /** Server inactivity once one side is shut. Default '1m', at most server. */
  serverFin?: Duration
  /** Inactivity once both sides have sent payload; replaces client and server. Default: off. */
  tunnel?: Duration
  /** Longest wait for a server slot. Default: connect. */
  queue?: Duration
  /** From accept to the session: PROXY header, handshake rules. Default '5s'. */
  handshake?: Duration
}

export interface LogConfig {
  /** Least level that is written. 'trace' shows every state transition. Default 'info'. */
  level?: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** File to append to, asynchronously. SIGUSR1 opens its name anew. Default: stdout. */
  file?: string
  /**
   * 'json': a line for programs. 'pretty': text for people. Default 'json'; `sluice run` on a
   * terminal: 'pretty'.
   */
  format?: 'json' | 'pretty'
}

/** How a peer that has vanished without a word is noticed. For TCP only. */
export interface LivenessConfig {
  /**
   * Probe silent connections (SO_KEEPALIVE), so that a peer that has vanished is noticed and NAT
   * does not forget them. Times are whole seconds, rounded up. Default true.
   */
  keepAlive?: boolean | KeepAliveConfig
  /**
   * Longest time that bytes may stay unacknowledged, or a peer may keep its window shut
   * (TCP_USER_TIMEOUT); '0s' is the kernel's. Default '0s'.
   */
  userTimeout?: Duration
}

/** What `setup` of a plugin gives. */
export interface PluginParts<N extends Names = Names> {
  /** Rules by stage. In logs they are 'PLUGIN/RULE'. */
  rules?: {
    /** Rules right after the PROXY header, before a session exists. Default: none. */
    connection?: Rules<Connection, At<'connection', N>>
    /**
     * Rules with the ClientHello: they may choose certificate, client certificate demand and
     * backend, let it through, or reject. Default: none.
     */
    clientHello?: Rules<Connection & { readonly hello: ClientHello }, At<'clientHello', N>>
    /**
     * Rules when TLS is complete, before the session: certificate, cipher and version are in
     * `conn.tls`. Default: none.
     */
    secured?: Rules<Connection & { readonly tls: TlsInfo }, At<'secured', N>>
    /**
     * Rules with the first bytes, behind TLS those that were decrypted: they may wait for more,
     * take bytes away or put others in their place, answer, and start TLS. Default: none.
     */
    handshake?: HandshakeRules<At<'handshake', N>>
    /** Rules when the session is made. Default: none. */
    session?: Rules<Connection, At<'session', N>>
  }
  /** Stick tables. In stats they are 'PLUGIN.TABLE'. */
  tables?: Record<string, TableConfig>
  /** Backends, for rules that choose 'PLUGIN.BACKEND'. */
  backends?: Record<string, BackendConfig<N>>
  /** Called before the proxy listens. Where it fails the proxy does not start. */
  start?: () => void | Promise<void>
  /** Called when the proxy has stopped, if `start` was called. */
  stop?: () => void | Promise<void>
}
