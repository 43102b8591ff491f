/** What a test gives to its proxy and to its clients. */

import type { Duration } from '../config/types.js'
import type { Plugin } from '../policy/plugin.js'
import type { ProxyHeaderOptions, Split } from './arrivals.js'
import type { LogRecord } from './log.js'
import type { Servers } from './servers.js'
import type { CertificateNames } from './tls/certificates.js'
import type { TlsClientOptions } from './tls/client.js'

export interface TestUse {
  /** Plugins under test: as `plugins`, and before those. */
  use?: Plugin[]
}

export interface TestProxyOptions<N extends string = string> {
  /** Where the virtual clock starts, in ms. Default 1000. */
  now?: number
  /** What servers do, unless `connect` says otherwise. */
  servers?: Servers<N>
  /** Addresses of server host names; an empty list does not resolve. Others get one of 198.18.0.0/15. */
  hosts?: Record<string, string | readonly string[]>
  /** Names that certificates are for, where the names of their files do not tell. No file is read. */
  certificates?: CertificateNames
  /** Lowest level that is kept in `logs`. Default 'debug'; 'trace' shows every transition. */
  logLevel?: LogRecord['level']
}

export interface ConnectOptions<F extends string = string, N extends string = string> {
  /** Default: the first one. */
  frontend?: F
  /** Which of the frontend's addresses; ranges of ports count one each. Default 0. */
  bind?: number
  /** Default '192.0.2.1'. */
  src?: string
  /** Default 50000. */
  srcPort?: number
  /** Default: the frontend's address. */
  dst?: string
  dstPort?: number
  /** PROXY header that comes first. */
  proxy?: ProxyHeaderOptions
  /** The client speaks TLS: it begins with a ClientHello, and `bytes` are what is inside. */
  tls?: TlsClientOptions
  /** What the client sends. */
  bytes?: string | Uint8Array
  /**
   * Where what is sent, PROXY header and ClientHello included, is cut into arrivals: a
   * position, several, or 'every' for one byte at a time. Default: one arrival.
   */
  split?: Split
  /** Virtual time between arrivals; `advance` brings the later ones. Default '0s'. */
  delay?: Duration
  /** The client sends its FIN behind the last byte. */
  fin?: boolean
  /** The client answers a FIN with its own only when told to. Default false. */
  allowHalfOpen?: boolean
  /** Bytes that the client reads from an applet before it stops reading. Default 1 MiB. */
  window?: number
  /** What servers do with this connection. */
  servers?: Servers<N>
}
