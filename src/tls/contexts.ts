/** What sessions and backends need of TLS: contexts of the engine, chosen by name. */

import type { ResolvedBind, ResolvedServer } from '../config/resolved.js'
import type { ClientCertDemand } from '../policy/types.js'

/** The certificates of one bind. */
export interface DownstreamContexts {
  /**
   * The engine's context for a server name ('' for none; lower case). `demand` replaces the
   * configured demand for a client certificate. Undefined where no certificate is for the
   * name and the bind is strict, or, with `demand`, where there are no authorities to ask for.
   */
  choose(serverName: string, demand?: ClientCertDemand): number | undefined
}

/** Where a proxy has its contexts from. */
export interface ContextSupplier {
  /** For a bind with TLS; the same object through every reload. */
  forBind(bind: ResolvedBind): DownstreamContexts
  /** The context for the TLS of a server, as it is now. */
  forServer(server: ResolvedServer): number
}

/** A certificate that is in use, for the API and the metrics. */
export interface CertificateStatus {
  /** Paths of the configuration that use it: 'frontends.web.bind.tls'. */
  readonly usedBy: readonly string[]
  readonly file: string
  readonly keyFile: string
  /** Names it is for, lower case. */
  readonly names: readonly string[]
  readonly keyType: 'rsa' | 'ecdsa' | 'ed25519'
  readonly notBefore: Date
  readonly notAfter: Date
  /** Whole days until it expires; negative once it has. */
  readonly daysLeft: number
  readonly fingerprint: string
}

/** What a reload did. */
export interface ReloadReport {
  /** Files whose content was new and is in use now, and certificates that are gone. */
  readonly changed: readonly string[]
  /** What could not be used, each with its file and why: the old content stays. */
  readonly errors: readonly string[]
}
