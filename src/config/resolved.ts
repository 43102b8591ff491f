/**
 * The configuration after checking: defaults applied, durations in ms, sizes in
 * bytes, addresses parsed, references between sections verified. Everything
 * behind the configuration works on this shape only.
 */

import type { Applet } from '../applet/applet.js'
import type { ListenAddress } from '../engine/engine.js'
import type { HandshakeHandler } from '../handshake/handler.js'
import type { Connection, Rule } from '../rules/types.js'
import type { Cidr, TableKeyType } from './types.js'

export interface ResolvedConfig {
  maxconn: number
  workers: number
  engine: 'native' | 'js' | 'auto'
  verdictTimeout: number
  drainTimeout: number
  resolveInterval: number
  tables: ResolvedTable[]
  frontends: ResolvedFrontend[]
  backends: ResolvedBackend[]
  log: { level: string; file: string | undefined }
}

export interface ResolvedBind {
  /** One address; a range of ports or LISTEN_FDS has become several binds. */
  address: ListenAddress
  /** As written, for messages: 'frontends.web.bind[0]'. */
  path: string
  backlog: number
  maxconn: number
  deferAccept: number
  fastOpen: number
  transparent: boolean
  originalDst: boolean
  acceptProxy: { from: Cidr[] | undefined } | undefined
  health: boolean
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
  inspectDelay: number
  inspectLimit: number
  handshakes: HandshakeHandler[]
  defaultVerdict: 'close' | 'open'
  timeouts: { client: number; clientFin: number; handshake: number }
  logSample: number
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
  | { kind: 'ip'; ip: string; port: number }
  | { kind: 'host'; host: string; port: number }
  | { kind: 'unix'; path: string }
  | { kind: 'applet'; applet: Applet }

export interface ResolvedServer {
  name: string
  id: number
  address: ServerAddress
  weight: number
  /** 0: no limit. */
  maxconn: number
  backup: boolean
  state: 'ready' | 'drain' | 'maint'
  sendProxy: { version: 1 | 2; uniqueId: boolean; crc32c: boolean } | undefined
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
  /** Failures on one server before another is chosen; 0 never. true in the input means: on the last retry, given as `retries`. */
  redispatch: number
  retryDelay: number
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

export interface ResolvedTable {
  name: string
  key: TableKeyType
  size: number
  /** ms; 0: never. */
  expire: number
  keyLength: number
  /** What is stored; rates hold their window in ms, 0 where not stored. */
  store: {
    connCur: boolean
    connCnt: boolean
    connRate: number
    sessCnt: boolean
    sessRate: number
    bytesInCnt: boolean
    bytesOutCnt: boolean
    bytesInRate: number
    bytesOutRate: number
    gpc0: boolean
    gpc1: boolean
    gpc0Rate: number
    gpt0: boolean
    serverId: boolean
  }
}
