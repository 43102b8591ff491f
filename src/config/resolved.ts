/**
 * The configuration after checking: defaults applied, durations in ms, sizes in
 * bytes, addresses parsed, references between sections verified. Everything
 * behind the configuration works on this shape only.
 */

import type { ListenAddress } from '../address/listen.js'
import type { Cidr } from '../address/set.js'
import type { ConfigIssue } from '../base/errors.js'
import type { ClientHello } from '../codec/tls.js'
import type { KeepAliveSpec } from '../engine/engine.js'
import type { ResolvedTable } from '../options/table.js'
import type { Applet } from '../policy/applet.js'
import type { HandshakeHandler } from '../policy/handler.js'
import type { Connection, Rule, TlsInfo } from '../policy/types.js'
import type { TlsVersion } from './types.js'

export type { ResolvedTable } from '../options/table.js'

export interface ResolvedConfig {
  maxconn: number
  /** Pipes for bulk payload at once. */
  maxpipes: number
  workers: number
  engine: 'native' | 'js' | 'auto'
  busyPoll: boolean
  verdictTimeout: number
  drainTimeout: number
  /** ms of accepting before the drain. */
  grace: number
  resolveInterval: number
  /** 0: no limit. Times in ms. */
  tlsHandshakes: { concurrent: number; total: number; queue: number; queueTimeout: number }
  /** ms; 0: off. */
  tlsReload: number
  tables: ResolvedTable[]
  frontends: ResolvedFrontend[]
  backends: ResolvedBackend[]
  /** `format`: undefined where it is not configured. */
  log: { level: string; file: string | undefined; format: 'json' | 'pretty' | undefined }
  /** What is allowed and probably not meant; logged at the start. */
  warnings: readonly ConfigIssue[]
}

/** How a peer that has vanished is noticed. */
export interface ResolvedLiveness {
  keepAlive: KeepAliveSpec | undefined
  /** ms; 0: the kernel's. */
  userTimeout: number
}

export interface ResolvedBind extends ResolvedLiveness {
  /** One address; a range of ports or LISTEN_FDS has become several binds. */
  address: ListenAddress
  /** As written, for messages: 'frontends.web.bind[0]'. */
  path: string
  backlog: number
  maxconn: number
  deferAccept: number
  fastOpen: number
  reusePort: boolean
  transparent: boolean
  originalDst: boolean
  /** `limit`: bytes of addresses and TLVs. */
  acceptProxy: { from: Cidr[] | undefined; limit: number } | undefined
  health: boolean
  /** Sets of certificates, the default one first; undefined where TLS is not terminated. */
  tls: ResolvedServerTls[] | undefined
  /** TLS server names that go through unterminated: name, '*.name' or '*', to backend. */
  sniRoutes: ReadonlyMap<string, string> | undefined
}

interface ResolvedTlsCommon {
  /** Where it is configured, for messages: 'frontends.web.bind.tls[0]'. */
  path: string
  alpn: string[]
  minVersion: TlsVersion
  maxVersion: TlsVersion
  ciphers: string[]
  groups: string[]
  /** Absolute paths of PEM files. */
  ca: string[]
  crl: string[]
}

/** A chain with its key, as files. Absolute paths. */
export interface CertificateFiles {
  cert: string
  /** The same file where the chain's file holds the key. */
  key: string
  ocsp: string | undefined
}

/** TLS towards clients. */
export interface ResolvedServerTls extends ResolvedTlsCommon {
  certificates: CertificateFiles[]
  /** Directories that are looked at again on reload. Absolute paths. */
  directories: string[]
  strictSni: boolean
  clientCert: 'none' | 'optional' | 'required'
  tickets: boolean
  /** ms */
  ticketRotation: number
  sessionCache: number
}

/** TLS towards a server. */
export interface ResolvedClientTls extends ResolvedTlsCommon {
  /** False takes any certificate. */
  verify: boolean
  /** Without `ca` the system's authorities count. */
  systemCa: boolean
  /** Fixed name: configured, or the host name or IP address of the server's address; '' for a unix socket. */
  serverName: string
  chooseServerName: ((conn: Connection) => string | undefined) | undefined
  certificate: CertificateFiles | undefined
  resumption: boolean
}

export interface ResolvedFrontend {
  name: string
  binds: ResolvedBind[]
  backend: string | undefined
  maxconn: number
  monitor: { from: Cidr[]; reply: Uint8Array } | undefined
  connectionRules: Rule[]
  sessionRules: Rule[]
  contentRules: Rule<Connection & { readonly payload: Uint8Array }>[]
  helloRules: Rule<Connection & { readonly hello: ClientHello }>[]
  establishedRules: Rule<Connection & { readonly tls: TlsInfo }>[]
  inspectDelay: number
  inspectLimit: number
  handshakes: HandshakeHandler[]
  defaultVerdict: 'close' | 'open'
  timeouts: { client: number; clientFin: number; handshake: number }
  logSample: number
  /** ms; 0: off. */
  logOpenAfter: number
}

export type ResolvedBalance =
  | { algorithm: 'roundrobin' | 'leastconn' | 'first' }
  | { algorithm: 'random'; draws: number }
  | {
      algorithm: 'hash'
      key: (conn: Connection) => string | number
      type: 'map' | 'consistent'
      /** Percent of the mean load, 0 is off. */
      boundedLoad: number
    }

export type ServerAddress =
  /** `offset`: the port is the one that the client came to and this; `port` is 0 then. */
  | { kind: 'ip'; ip: string; port: number; offset?: number }
  | { kind: 'host'; host: string; port: number; offset?: number }
  | { kind: 'unix'; path: string }
  | { kind: 'applet'; applet: Applet }

export interface ResolvedServer extends ResolvedLiveness {
  name: string
  id: number
  address: ServerAddress
  weight: number
  /** 0: no limit. */
  maxconn: number
  backup: boolean
  state: 'ready' | 'drain' | 'maint'
  sendProxy:
    | {
        version: 1 | 2
        uniqueId: boolean
        crc32c: boolean
        ssl: boolean
        sslCn: boolean
        authority: boolean
        /** Types that are handed on from the header that came in; true is all. */
        tlvs: boolean | readonly number[]
      }
    | undefined
  tls: ResolvedClientTls | undefined
  socks:
    | {
        ip: string
        port: number
        version: 4 | 5
        user: string | undefined
        password: string | undefined
      }
    | undefined
  source: { ip: string; port: number } | 'client' | undefined
}

export interface ResolvedBackend {
  name: string
  balance: ResolvedBalance
  servers: ResolvedServer[]
  maxqueue: number
  retries: number
  /** Failures on one server before another is chosen; 0 never. */
  redispatch: number
  retryDelay: number
  /** Every backup is used once no other server is usable, not the first one alone. */
  allBackups: boolean
  passive: { failures: number; backoff: number; maxBackoff: number } | undefined
  stick:
    | {
        table: string
        key: (conn: Connection) => string | number | undefined
        match: boolean
        store: boolean
      }
    | undefined
  timeouts: { server: number; serverFin: number; connect: number; queue: number; tunnel: number }
}
