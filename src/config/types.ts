/**
 * The configuration as users write it. Names follow HAProxy's terms. The zod
 * schema in schema.ts checks the same shape at run time and is the source of
 * the reference in docs/configuration.md.
 */

import type { Cidr } from '../address/set.js'
import type { Duration, Size } from '../base/units.js'
import type { ClientHello } from '../codec/tls.js'
import type { TableConfig } from '../options/written.js'
import type { Applet } from '../policy/applet.js'
import type { HandshakeHandler } from '../policy/handler.js'
import type { Connection, Rule, Sync, TlsInfo } from '../policy/types.js'

export type * from '../options/written.js'
export type { Cidr, Duration, Size }

export interface Config {
  global?: GlobalConfig
  /** Stick tables by name. */
  tables?: Record<string, TableConfig>
  /** Applets by name, so that JSON configurations and backends can refer to them. */
  applets?: Record<string, Applet>
  frontends: Record<string, FrontendConfig>
  backends: Record<string, BackendConfig>
  /** Defaults for every frontend and backend. */
  timeouts?: TimeoutsConfig
  log?: LogConfig
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

/** How a peer that has vanished without a word is noticed. For TCP only. */
export interface LivenessConfig {
  /** Probe connections that are silent. Default true. */
  keepAlive?: boolean | KeepAliveConfig
  /** Longest time that bytes may stay unacknowledged (TCP_USER_TIMEOUT). Default '0s': the kernel's. */
  userTimeout?: Duration
}

export interface GlobalConfig {
  /** Connections at once in the process; accepting pauses at the limit. Default: from the fd limit, which also bounds it. */
  maxconn?: number
  /** Pipes for bulk payload at once, two descriptors each; beyond them payload is copied. 0 is off. Default: a quarter of maxconn. */
  maxpipes?: number
  /** Engine threads. Default 1. */
  workers?: number
  /** 'auto' (default) takes native where the addon loads. */
  engine?: 'native' | 'js' | 'auto'
  /**
   * Look for events for 200 microseconds before the policy's thread sleeps: shorter round trips
   * through rules while traffic is sparse, for more CPU. Native engine only. Default false.
   */
  busyPoll?: boolean
  /** Longest time for one answer of a policy before the default verdict. Default '5s'. */
  verdictTimeout?: Duration
  /** TLS handshakes with clients at once. */
  tlsHandshakes?: {
    /** In each worker; more wait. Default 1024. */
    concurrent?: number
    /** In the process. Default: no limit of its own. */
    total?: number
    /** Longest queue of those that wait; more are closed. Default 4096. */
    queue?: number
    /** Longest wait. At most verdictTimeout. Default '3s'. */
    queueTimeout?: Duration
  }
  /** Certificates and keys are read again when their files change; this is how often they are looked at. '0s' is off. Default '10s'. */
  tlsReload?: Duration
  /** How long `stop()` and SIGTERM wait for sessions to end. Default '30s'. */
  drainTimeout?: Duration
  /** How long `stop()` and SIGTERM go on accepting while health and monitor say no. Default '0s'. */
  grace?: Duration
  /** DNS re-resolution of server host names. Default '30s'. */
  resolveInterval?: Duration
}

export interface TimeoutsConfig {
  /** Client inactivity. Default '1h'. */
  client?: Duration
  /** Server inactivity. Default '1h'. */
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
  /** From accept to the session: PROXY header, custom handlers. Default '5s'. */
  handshake?: Duration
}

export interface BindConfig extends LivenessConfig {
  /**
   * '127.0.0.1:8080', '[::1]:8080', ':8080' or '*:8080' (IPv4 any), '[::]:8080',
   * '[fe80::1%eth0]:8080' (of an interface), '127.0.0.1:8000-8010' (a range), 'unix:/run/a.sock'
   * (or 'unix@/run/a.sock'), 'unix:@name' (abstract, Linux only),
   * 'fd@3', 'systemd' (every LISTEN_FDS socket) or 'systemd@NAME'.
   */
  address: string
  /** Port, where the address has none. */
  port?: number | string
  /** IPv6 only (true) or both families on '[::]' (false). Default false. */
  v6only?: boolean
  backlog?: number
  /** Connections at once on this bind; accepting pauses at the limit. */
  maxconn?: number
  /** Wait in the kernel for the first bytes (TCP_DEFER_ACCEPT). true is 1 s. */
  deferAccept?: boolean | Duration
  /** Queue length of TCP Fast Open. */
  fastOpen?: number
  /**
   * Share the port with other processes that ask for it too (SO_REUSEPORT), so that a new one can
   * take over from an old one. Default false: a port that is taken is an error.
   */
  reusePort?: boolean
  /** Accept for foreign addresses (IP_TRANSPARENT; needs privileges). */
  transparent?: boolean
  /** `conn.dst` is the destination before NAT (SO_ORIGINAL_DST). */
  originalDst?: boolean
  /**
   * Expect a PROXY header: from everybody (true, or without `from`) or from these sources only,
   * everybody else is rejected. `limit`: longest addresses and TLVs of a version 2 header;
   * default '16kB'.
   */
  acceptProxy?: boolean | { from?: Cidr[]; limit?: Size }
  /** Permissions of a unix socket, such as '660'. */
  mode?: string
  /** Accept, send OK and close: 'health' answers 'OK\n'. */
  health?: boolean
  /**
   * Terminate TLS. A list gives sets of certificates options of their own, such as a
   * demand for client certificates; the first set serves names that no certificate is for.
   */
  tls?: TlsBindConfig | TlsBindConfig[]
  /**
   * Route by TLS server name without terminating: exact names, '*.example.com' (one label)
   * or '*' (the rest), to backends. Names that are not here are terminated where there is
   * `tls`, and go through to the default backend where there is none.
   */
  sniRoutes?: Record<string, string>
}

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3'

/** One file (or directory) for chain and key, or two. */
export interface CertificateConfig {
  /** PEM file: the certificate, then its issuers, and the key unless `key` has it. */
  cert: string
  key?: string
  /** OCSP response (DER file) to staple. */
  ocsp?: string
}

interface TlsCommonConfig {
  /** Protocols in order of preference, such as ['h2', 'http/1.1']. Default: ALPN is not used. */
  alpn?: string[]
  /** Default 'TLSv1.2'. */
  minVersion?: TlsVersion
  /** Default 'TLSv1.3'. */
  maxVersion?: TlsVersion
  /** IANA names in order of preference: 'TLS_AES_128_GCM_SHA256'. Default: the engine's. */
  ciphers?: string[]
  /** Key exchange groups in order of preference: 'x25519', 'secp256r1', 'secp384r1'. Default: the engine's. */
  groups?: string[]
  /** PEM file(s) of the authorities that peers' certificates are verified against. */
  ca?: string | string[]
  /** PEM file(s) of revocation lists. */
  crl?: string | string[]
}

export interface TlsBindConfig extends TlsCommonConfig {
  /**
   * PEM file(s) or directories. A file holds a chain and, unless `key` names it, its key; in a
   * directory every NAME.pem or NAME.crt is one, with its key inside or in NAME.key and an OCSP
   * response in NAME.ocsp. RSA and ECDSA certificates of the same name stand side by side.
   */
  cert?: string | string[]
  /** Key of `cert`, where that is one file. */
  key?: string
  /** OCSP response (DER file) for `cert`, where that is one file. */
  ocsp?: string
  /** More certificates, each with its files. */
  certificates?: CertificateConfig[]
  /** Refuse names that no certificate is for, instead of showing the first one. Default false. */
  strictSni?: boolean
  /** Ask clients for a certificate and verify it against `ca`. Default 'none'. */
  clientCert?: 'none' | 'optional' | 'required'
  /** Resume by tickets; keys are rotated at this age. Default { rotate: '6h' }. */
  tickets?: boolean | { rotate?: Duration }
  /** Most sessions kept for resumption without tickets. Default 4096; 0 keeps none. */
  sessionCache?: number
}

export interface TlsServerConfig extends TlsCommonConfig {
  /** 'required' (default) verifies the server's certificate against `ca`; 'none' takes any, and says so in the log. */
  verify?: 'required' | 'none'
  /**
   * For SNI and verification. Default: the host name of the address. A function gets the client's
   * connection: (conn) => conn.tls?.serverName; undefined takes the default.
   */
  serverName?: string | ((conn: Connection) => string | undefined)
  /** Certificate to show to servers that ask for one. */
  cert?: string
  key?: string
  /** Resume sessions. Default true. */
  resumption?: boolean
}

export interface MonitorConfig {
  /** Sources that get the reply instead of service; before PROXY and everything else. */
  from: Cidr[]
  /** Default 'HTTP/1.0 200 OK\r\n\r\n'. */
  reply?: string
}

export interface FrontendConfig {
  mode?: 'tcp'
  bind: string | BindConfig | (string | BindConfig)[]
  /** Default backend. */
  backend?: string
  /** Connections at once; accepting pauses at the limit. */
  maxconn?: number
  monitor?: MonitorConfig
  tcpRequest?: {
    /** Right after the PROXY header, before a session exists. */
    connection?: Rule[]
    /** When the session is made. */
    session?: Rule[]
    /** With the first payload. */
    content?: Rule<Connection & { readonly payload: Uint8Array }>[]
    /** Longest wait for payload that content rules ask for. Default: off, rules see what is there. */
    inspectDelay?: Duration
    /** Most payload that content rules may see. Default '16kB'. */
    inspectLimit?: Size
  }
  tlsRequest?: {
    /** With the ClientHello: may choose certificate, client certificate demand and backend, let it through, or reject. */
    clientHello?: Rule<Connection & { readonly hello: ClientHello }>[]
    /** When TLS is complete, before the session: certificate, cipher and version are in `conn.tls`. */
    established?: Rule<Connection & { readonly tls: TlsInfo }>[]
  }
  /** Handshake handlers written in TypeScript, in order. */
  handshakes?: HandshakeHandler[]
  /** What a late or failed policy means. Default 'close'. 'open' goes on to the default backend. */
  defaultVerdict?: 'close' | 'open'
  timeouts?: Pick<TimeoutsConfig, 'client' | 'clientFin' | 'handshake'>
  log?: FrontendLogConfig
}

export type BalanceConfig =
  | 'roundrobin'
  | 'leastconn'
  | 'first'
  | 'random'
  | 'source'
  | { algorithm: 'random'; draws?: number }
  | {
      algorithm: 'hash'
      /** Default: the source address. */
      key?: (conn: Connection) => string | number
      /** 'map' (fast, moves many keys) or 'consistent'. Default 'consistent'. */
      type?: 'map' | 'consistent'
      /** Bounded load, in percent of the average: 125 lets a server have 1.25 x the mean. 0 is off. */
      boundedLoad?: number
    }

export interface ServerConfig extends LivenessConfig {
  /**
   * 'ip:port', '[v6]:port', 'host.name:port', 'unix:/path', 'unix:@name' (abstract, Linux only) or
   * 'applet:NAME'. The port '+0' is the one that the client came to, '+1000' and '-1000' one at
   * that distance.
   */
  address?: string
  /** An applet instead of an address. */
  applet?: Applet
  /** 0 to 256, default 1. 0 drains. */
  weight?: number
  /** Connections at once; more wait in the queue. Default: no limit. */
  maxconn?: number
  /** Used only when every other server is down; of several the first one, unless `allBackups`. */
  backup?: boolean
  /** 'ready' (default), 'drain' (no new sessions but sticky ones) or 'maint' (none). */
  state?: 'ready' | 'drain' | 'maint'
  /** Send a PROXY header of this version. */
  sendProxy?:
    | boolean
    | 1
    | 2
    | {
        version: 1 | 2
        uniqueId?: boolean
        crc32c?: boolean
        /** Add the SSL TLV: version, cipher, verification, and with 'cn' the common name of the client's certificate. */
        ssl?: boolean | 'cn'
        /** Add the AUTHORITY TLV: the name that the client's TLS asked for. */
        authority?: boolean
        /** Hand on the TLVs of the header that came in: all of them (true), or these types. */
        tlvs?: boolean | number[]
      }
  /** Speak TLS to the server. true verifies its host name against the system's authorities. */
  tls?: boolean | TlsServerConfig
  /** Reach the server through a SOCKS proxy. */
  socks?: { address: string; version?: 4 | 5; user?: string; password?: string }
  /** Local address to connect from; 'client' is transparent. */
  source?: string
  /** Number in logs, tables (`server_id`) and stickiness. Default: position from 1. */
  id?: number
}

export interface BackendConfig {
  mode?: 'tcp'
  balance?: BalanceConfig
  servers: Record<string, string | ServerConfig | Applet>
  /** Sessions waiting for a slot; more are refused. Default 1024. */
  maxqueue?: number
  /**
   * Connect attempts after the first, each after `retryDelay`; and as many again at once, on
   * servers and addresses that the session has not tried. Default 3.
   */
  retries?: number
  /**
   * Go on with another server: at once (true) or after N failures on one. Default true, with
   * `stick` after as many as there are retries.
   */
  redispatch?: boolean | number
  /** From the beginning of an attempt to the next, where there is nobody else to try (TAR). Default '1s', at most the connect time-out. */
  retryDelay?: Duration
  /** Use every backup server once no other is usable, not the first alone. Default false. */
  allBackups?: boolean
  /**
   * Passive failure marking: after `failures` connect failures in a row traffic goes to the other
   * servers, where there are any, but for a trial each `backoff`; which doubles up to `maxBackoff`
   * after trials that time out.
   */
  passive?: { failures?: number; backoff?: Duration; maxBackoff?: Duration } | false
  /** Stickiness over a table with the `serverId` data type. */
  stick?: {
    table: string
    /** Default: source address. */
    key?: (conn: Connection) => string | number | undefined
    /** 'on' matches and stores (default), 'match' only matches, 'store' only stores. */
    mode?: 'on' | 'match' | 'store'
  }
  timeouts?: Pick<TimeoutsConfig, 'server' | 'serverFin' | 'connect' | 'queue' | 'tunnel'>
}

export interface LogConfig {
  /** pino level. Default 'info'. 'trace' shows every state transition. */
  level?: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** File to append to; default stdout. Written asynchronously. */
  file?: string
  /** 'json' for programs, 'pretty' for people. Default 'json'; `sluice run` on a terminal: 'pretty'. */
  format?: 'json' | 'pretty'
}

export interface FrontendLogConfig {
  /** Log one session in N. Errors are always logged. Default 1; 0 logs errors only. */
  sample?: number
  /** A line of its own for a session that is still open after so long. Default '0s': none. */
  openAfter?: Duration
}

/** Marks a configuration, so that editors complete it and mistakes show up while typing. */
export function defineConfig(config: Config): Config {
  return config
}

export type { Sync }
