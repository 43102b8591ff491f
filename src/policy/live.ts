/**
 * What programs and rules hold of a proxy: views of its tables, backends and servers, with what
 * may be changed about them. Live: each look reads what is so now.
 */

import type { Logger } from 'pino'
import type { Cidr } from '../address/set.js'
import type { BoundAddress } from '../engine/engine.js'
import type { PhaseLabel } from '../wire/wire.js'
import type { ReadableIn, StoredIn, TableStore } from './counters.js'
import type { BackendNames, ByName } from './names.js'
import type { ProxyStats } from './stats.js'

/** A key of a stick table; which of them fit is the table's type. */
export type TableKey = string | number | Uint8Array

/** Types of keys. */
export type TableKeyType = 'ip' | 'ipv6' | 'integer' | 'string' | 'binary'

/** A key of a table whose type of key is `K`. */
export type KeyOf<K extends TableKeyType = TableKeyType> = {
  ip: string | number | Uint8Array
  ipv6: string | Uint8Array
  integer: number | string
  string: string | number | Uint8Array
  binary: Uint8Array | string
}[K]

/**
 * What a table stores for one key; rates are counts over their window as of now. `S`: what is
 * stored, as the configuration says.
 */
export type TableData<S = TableStore> = {
  readonly [N in keyof S as N extends StoredIn<S> ? N : never]: number
}

/** What can be set for one key. */
export type TableChanges<S = TableStore> = { readonly [N in ReadableIn<S>]?: number }

/** One entry of a stick table, as it was when it was reached. `K`: type of the keys. */
export interface TableRow<K extends TableKeyType = TableKeyType, S = TableStore> {
  /** As kept: an address as text, a number, text, or binary as hexadecimal digits. */
  readonly key: K extends 'integer' ? number : string
  /** Connections that track the entry now. */
  readonly uses: number
  /** ms since the last use; 0 while tracked. */
  readonly idle: number
  readonly data: TableData<S>
}

/** A stick table. `K`: type of its keys; `S`: what it stores, as its configuration says. */
export interface TableView<K extends TableKeyType = TableKeyType, S = TableStore> {
  readonly name: string
  /** Entries that have not expired. Takes out what has: after a long idle time the whole table. */
  readonly size: number
  /** Most entries at once. */
  readonly capacity: number
  /** Bytes of memory that it holds. */
  readonly bytes: number
  /** Entries that made room for others so far. */
  readonly evicted: number
  /** Entries that were forgotten for want of use so far. */
  readonly expired: number
  /** Keys so far that found no room, because connections tracked every entry. */
  readonly refused: number
  /** What is stored for a key now; undefined where there is no entry. Does not count as a use. */
  get(key: KeyOf<K>): TableData<S> | undefined
  /**
   * Sets the named data of a key, and makes its entry where there is none. A rise of a counter
   * feeds its rate; a rate that is named reads its value.
   * @throws SluiceError: ERR_SLUICE_ARGUMENT where the key does not fit, the table does not store a
   *   name, or a value is no finite number; ERR_SLUICE_STATE where it is full of entries that
   *   connections track. Nothing has changed then.
   */
  set(key: KeyOf<K>, data: TableChanges<S>): void
  /** Forgets a key. False where there is none, or where a connection tracks it. */
  delete(key: KeyOf<K>): boolean
  /** Forgets every key that no connection tracks; returns how many. */
  clear(): number
  /** Entries in no order, at most `limit`. The table may change meanwhile. */
  entries(limit?: number): IterableIterator<TableRow<K, S>>
}

/** What an operator asks of a server. */
export type ServerState = 'ready' | 'drain' | 'maint'

/** What a server is in effect. `drain` also where its weight is 0. */
export type ServerStatus = 'up' | 'drain' | 'maint' | 'down' | 'half-open' | 'unresolved'

/** A server of a backend. Its state and its weight are changed by assigning them. */
export interface ServerControl {
  readonly name: string
  /** Name of its backend. */
  readonly backend: string
  /** Where connects go now: '127.0.0.1:80', 'unix:/path'; undefined for an applet, and while a name is not resolved. */
  readonly address: string | undefined
  /**
   * What the operator asks: 'ready'; 'drain', no new sessions but those that stick to it; 'maint',
   * none. 'ready' also forgets its failures. Another word is a SluiceError (ERR_SLUICE_ARGUMENT).
   */
  state: ServerState
  /** A whole number from 0 to 256; 0 drains. Another one is a SluiceError (ERR_SLUICE_ARGUMENT). */
  weight: number
  /** What it is in effect. */
  readonly status: ServerStatus
  /** New sessions may go to it, were they sent to it: HAProxy's srv_is_up. */
  readonly usable: boolean
  /** Sessions that hold a slot of it now: HAProxy's srv_conn. */
  readonly sessions: number
  /** Most of them at once; 0: no limit. */
  readonly maxconn: number
  /** Sessions that wait for it and for no other: HAProxy's srv_queue. */
  readonly queued: number
  /** Closes its sessions, as 'proxy/.../killed'; returns how many. Who may come again is `state`. */
  shutdownSessions(): number
}

/** Backends by name. */
export type BackendViews<Backends = BackendNames> = string extends keyof Backends
  ? ByName<string, BackendView>
  : { readonly [Name in keyof Backends]: BackendView<keyof Backends[Name] & string> }

/** A backend and its servers, of which the compiler may know the names. */
export interface BackendView<Servers extends string = string> {
  readonly name: string
  /** By name. */
  readonly servers: ByName<Servers, ServerControl>
  /** Servers that new sessions are balanced over: HAProxy's nbsrv. 0 where each is down or taken out. */
  readonly usable: number
  /** 'down' where no server is usable. */
  readonly status: 'up' | 'down'
  /** Sessions on its servers now: HAProxy's be_conn. */
  readonly sessions: number
  /** Sessions that wait for a slot: HAProxy's queue. */
  readonly queued: number
}

/** State of a side of a session; docs/architecture.md shows how they follow each other. */
export type SideState =
  | 'INI'
  | 'REQ'
  | 'QUE'
  | 'TAR'
  | 'ASS'
  | 'CON'
  | 'CER'
  | 'EST'
  | 'DIS'
  | 'CLO'

/** A connection that is open, or was. */
export interface SessionView {
  /** As in the log, and for `proxy.kill`. */
  readonly id: string
  readonly frontend: string
  /** Address of the listener. */
  readonly bind: string
  readonly src: string
  readonly srcPort: number
  readonly dst: string
  readonly dstPort: number
  /** The name that its TLS asked for; '' for none, undefined where no hello came. */
  readonly serverName: string | undefined
  readonly backend: string | undefined
  readonly server: string | undefined
  /** Where the last connect went. */
  readonly serverAddress: string | undefined
  /** What it is at: 'tls', 'queue', 'connect', 'data' and the like. */
  readonly phase: PhaseLabel
  readonly clientState: SideState
  readonly serverState: SideState
  /** ms since it was accepted; 0 behind its end. */
  readonly age: number
  /** From the client, and to it. */
  readonly bytesIn: number
  readonly bytesOut: number
  /** Rule that decided last. */
  readonly rule: string | undefined
  /** It is gone. */
  readonly ended: boolean
  /** Closes it, as 'proxy/.../killed'. False where it has ended, or was killed before. */
  kill(): boolean
  /** One line for people, with the records of both connections in words. */
  toString(): string
}

/** Which sessions: those that fit in everything that is named. */
export interface SessionFilter {
  frontend?: string
  backend?: string
  /** Name of the server, in any backend where none is named. */
  server?: string
  /** An address or a block: '192.0.2.7', '10.0.0.0/8'. */
  src?: Cidr
}

/** Where each frontend listens, in the order of its binds. */
export type ListenAddresses = Record<string, BoundAddress[]>

/** A proxy that runs, as its own configuration holds it. */
export interface RunningProxy<Backends = BackendNames, Tables extends string = string> {
  /** Stick tables by name. */
  readonly tables: ByName<Tables, TableView>
  /** Backends by name. */
  readonly backends: BackendViews<Backends>
  readonly addresses: ListenAddresses
  readonly logger: Logger
  /** Aborted when the proxy begins to stop: for timers, loops and requests that go on as long as it runs. */
  readonly signal: AbortSignal
  /** Open connections, all of them or those that fit; each is a live view. */
  sessions(filter?: SessionFilter): IterableIterator<SessionView>
  /** Closes the connection of this id, as 'proxy/.../killed'. False where it has ended, or there is none. */
  kill(id: string): boolean
  stats(): ProxyStats
}

/** Called with the proxy once everything listens. A method: it may know less of the names, or more. */
export type Started<Backends = BackendNames, Tables extends string = string> = {
  started(proxy: RunningProxy<Backends, Tables>): void | Promise<void>
}['started']
