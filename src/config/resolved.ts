/**
 * The configuration after checking: defaults applied, durations in ms, sizes in
 * bytes, addresses parsed, references between sections verified. Everything
 * behind the configuration works on this shape only. What is the same as an
 * option's value after its own check comes from the option's declaration.
 */

import type { ListenAddress } from '../address/bind.js'
import type { ConfigIssue } from '../base/errors.js'
import type { BackendOptions, ResolvedPassive } from '../options/backend.js'
import type { ResolvedBalance } from '../options/balance.js'
import type { BindOptions } from '../options/bind.js'
import type { FrontendOptions } from '../options/frontend.js'
import type { ResolvedLiveness } from '../options/liveness.js'
import type { GlobalOptions, LogOptions } from '../options/process.js'
import type { ServerOptions, SocksOptions } from '../options/server.js'
import type { ResolvedTable } from '../options/table.js'
import type { BackendTimeouts, FrontendTimeouts } from '../options/timeouts.js'
import type { CommonTls, TlsOfBind, TlsOfServer } from '../options/tls.js'
import type { Applet } from '../policy/applet.js'
import type { Started } from '../policy/live.js'
import type { MetricStats } from '../policy/metrics.js'
import type { Rule, RuleOf } from '../policy/rule.js'
import type { RuleList } from '../policy/rule-lists.js'
import type { Connection } from '../policy/types.js'
import type { Path } from './issues.js'

export type { ResolvedBalance, ResolvedLiveness, ResolvedTable }

/** Some of what an option became is something else again. */
type Instead<T, R> = Omit<T, keyof R> & R

export interface ResolvedConfig
  extends Instead<GlobalOptions, { maxconn: number; maxpipes: number }> {
  tables: ResolvedTable[]
  frontends: ResolvedFrontend[]
  backends: ResolvedBackend[]
  /** Every use, in the order in which they start. */
  plugins: ResolvedPlugin[]
  started: Started | undefined
  log: LogOptions
  /** What is allowed and probably not meant; logged at the start. */
  warnings: readonly ConfigIssue[]
}

/** A use of a plugin that is set up. */
export interface ResolvedPlugin {
  /** Name of the use. */
  readonly name: string
  /** As in messages: 'frontends.web.use[0]'. */
  readonly path: string
  start(): void | Promise<void>
  stop(): void | Promise<void>
  readonly signal: AbortSignal
  /** Aborts `signal`. */
  end(reason?: unknown): void
  stats(): Record<string, MetricStats>
}

export interface ResolvedBind
  extends Instead<
    Omit<BindOptions, 'port' | 'v6only' | 'mode'>,
    {
      /** One address; a range of ports or LISTEN_FDS has become several binds. */
      address: ListenAddress
      maxconn: number
      /** Sets of certificates, the default one first; undefined where TLS is not terminated. */
      tls: ResolvedDownstreamTls[] | undefined
      /** TLS server names that go through unterminated: name, '*.name' or '*', to backend. */
      sniRoutes: ReadonlyMap<string, string> | undefined
    }
  > {
  /** As written, for messages: 'frontends.web.bind[0]'. */
  path: string
}

interface ResolvedTlsCommon
  extends Instead<
    CommonTls,
    {
      /** Absolute paths of PEM files. */
      ca: string[]
      crl: string[]
    }
  > {
  /** Where it is configured, for messages: 'frontends.web.bind.tls[0]'. */
  path: string
}

/** A chain with its key, as files. Absolute paths. */
export interface CertificateFiles {
  cert: string
  /** The same file where the chain's file holds the key. */
  key: string
  ocsp: string | undefined
}

/** TLS towards clients. */
export interface ResolvedDownstreamTls
  extends ResolvedTlsCommon,
    Omit<TlsOfBind, keyof CommonTls | 'cert' | 'key' | 'ocsp' | 'certificates' | 'tickets'> {
  certificates: CertificateFiles[]
  /** Directories that are looked at again on reload. Absolute paths. */
  directories: string[]
  tickets: boolean
  /** ms */
  ticketRotation: number
}

/** TLS towards a server. */
export interface ResolvedUpstreamTls
  extends ResolvedTlsCommon,
    Omit<TlsOfServer, keyof CommonTls | 'verify' | 'serverName' | 'cert' | 'key'> {
  /** False takes any certificate. */
  verify: boolean
  /** Without `ca` the system's authorities count. */
  systemCa: boolean
  /** Fixed name: configured, or the host name or IP address of the server's address; '' for a unix socket. */
  serverName: string
  chooseServerName: ((conn: Connection) => string | undefined) | undefined
  certificate: CertificateFiles | undefined
}

/** A rule and its place in the configuration, which names it where it has no name. */
export interface PlacedRule<R = Rule<never>> {
  readonly rule: R
  readonly path: Path
  /** Name of the use of the plugin that it is of. */
  readonly plugin?: string
}

/** Every list of rules that run, in the order in which they do. */
export type PlacedRules = { readonly [K in RuleList]: readonly PlacedRule<RuleOf<K>>[] }

export interface ResolvedFrontend
  extends Instead<
    Omit<FrontendOptions, 'mode' | 'bind' | 'rules' | 'use'>,
    { maxconn: number; timeouts: FrontendTimeouts }
  > {
  name: string
  binds: ResolvedBind[]
  rules: PlacedRules
}

export type ServerAddress =
  /** `offset`: the port is the one that the client came to and this; `port` is 0 then. */
  | { kind: 'ip'; ip: string; port: number; offset?: number }
  | { kind: 'host'; host: string; port: number; offset?: number }
  | { kind: 'unix'; path: string }
  | { kind: 'applet'; applet: Applet }

export interface ResolvedServer
  extends Instead<
    Omit<ServerOptions, 'applet'>,
    {
      id: number
      address: ServerAddress
      tls: ResolvedUpstreamTls | undefined
      socks: ({ ip: string; port: number } & Omit<SocksOptions, 'address'>) | undefined
      source: { ip: string; port: number } | 'client' | undefined
    }
  > {
  name: string
}

export interface ResolvedBackend
  extends Instead<
    Omit<BackendOptions, 'mode'>,
    {
      servers: ResolvedServer[]
      /** Failures on one server before another is chosen; 0 never. */
      redispatch: number
      passive: ResolvedPassive | undefined
      stick:
        | {
            table: string
            key: (conn: Connection) => string | number | undefined
            match: boolean
            store: boolean
          }
        | undefined
      timeouts: BackendTimeouts
    }
  > {
  name: string
}
