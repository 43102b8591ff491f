/**
 * Every certificate of a proxy: from files to contexts of the engine, and again
 * when the files change. Nothing that is in use is given up before its
 * successor is there, and what is broken changes nothing.
 */

import type { Logger } from 'pino'
import type { Clock } from '../base/clock.js'
import { SluiceError } from '../base/errors.js'
import type {
  ResolvedBind,
  ResolvedDownstreamTls,
  ResolvedServer,
  ResolvedUpstreamTls,
} from '../config/resolved.js'
import type { Engine } from '../engine/engine.js'
import { overdueLists, type TrustText } from './authorities.js'
import { Build, NOTHING_IN_USE } from './build.js'
import { type Certificate, daysLeft, describeOcsp, describeValidity } from './certificates.js'
import type {
  CertificateStatus,
  ContextSupplier,
  DownstreamContexts,
  ReloadReport,
} from './contexts.js'
import { BindContexts, type DownstreamSet } from './downstream.js'
import {
  certificateError,
  Library,
  type Look,
  lineOf,
  type Problem,
  pathsOf,
  type Snapshot,
  systemProblems,
} from './library.js'

export interface TlsStoreOptions {
  readonly engine: Engine
  readonly clock: Clock
  readonly logger: Logger
  /** ms between two looks at the files; 0: only when asked to. */
  readonly interval: number
  /** `forServer` answers with other numbers now; the old contexts live for a few seconds more. */
  readonly onServers?: () => void
  /** After a reload that changed something. */
  readonly onReload?: (report: ReloadReport) => void
  /** ms since 1970. Default: Date.now. */
  readonly wallClock?: () => number
}

const DAY = 86_400_000
/** Certificates are warned of when this many days are left. */
const WARN_DAYS = 14
/** ms for which contexts outlive their successors: more than a replaced route lives. */
const FORGET_DELAY = 10_000

export class TlsStore implements ContextSupplier {
  readonly #options: TlsStoreOptions
  readonly #engine: Engine
  readonly #logger: Logger
  readonly #binds = new Set<BindContexts>()
  #library: Library | undefined
  #inUse = NOTHING_IN_USE
  #servers: readonly ResolvedUpstreamTls[] = []
  #last: Promise<unknown> = Promise.resolve()
  /** Cancel what is due later. */
  readonly #due = new Set<() => void>()
  #closed = false

  constructor(options: TlsStoreOptions) {
    this.#options = options
    this.#engine = options.engine
    this.#logger = options.logger
  }

  /**
   * Reads every file and makes the contexts of the binds; once. Throws one SluiceError
   * (ERR_SLUICE_TLS) that tells everything that is wrong, and then no context is left.
   */
  async load(
    binds: readonly (readonly ResolvedDownstreamTls[])[],
    servers: readonly ResolvedUpstreamTls[],
  ): Promise<void> {
    const sets = [...new Set(binds.flat())]
    this.#library = new Library(sets, servers, this.#wallClock)
    this.#servers = servers
    const stopped = () => this.#closed
    const found = await this.#library.look(true, stopped)
    const problems = [...found.problems, ...systemProblems(servers)]
    const build = new Build(this.#engine, found.snapshot, NOTHING_IN_USE, stopped)
    if (problems.length === 0) await build.run(servers)
    problems.push(...build.problems)
    if (problems.length > 0) {
      for (const context of build.made) this.#engine.tlsForget(context)
      throw certificateError(problems.map(lineOf))
    }
    this.#use(this.#library, build)
    for (const { path, verify } of servers) {
      if (!verify)
        this.#logger.warn(
          { path },
          `${path}: verify is 'none': whoever answers is trusted, nothing proves that it is the server`,
        )
    }
    for (const certificate of found.snapshot.certificates.values()) this.#warn(certificate)
    for (const trust of found.snapshot.trust.values()) this.#warnOfTrust(trust)
  }

  /** Looks at the files and the days left, every now and then, until `close`. */
  watch(): void {
    const { certificates, trust } = this.#inUse.snapshot
    if (certificates.size + trust.size === 0) return
    const { interval } = this.#options
    if (interval > 0) this.#every(interval, () => this.poll())
    this.#every(DAY, async () => this.#warnOfExpiry())
  }

  /** Precondition: the bind's sets were loaded. */
  forBind({ tls = [] }: Pick<ResolvedBind, 'tls'>): DownstreamContexts {
    const bind = new BindContexts(tls, this.#setsOf(tls), this.#engine, (path, error) =>
      this.#logger.error({ path, err: error }, `${path}: no context for another demand`),
    )
    this.#binds.add(bind)
    return bind
  }

  /** Precondition: the server's TLS was loaded. */
  forServer({ tls }: Pick<ResolvedServer, 'tls'>): number {
    const client = tls && this.#inUse.clients.get(tls)
    if (client) return client.context
    throw new SluiceError('ERR_SLUICE_STATE', 'The TLS of this server was not loaded.')
  }

  /**
   * Reads every file again and uses what is new. What cannot be used stays as it was and is in
   * the report. Calls wait for each other.
   */
  reload(): Promise<ReloadReport> {
    return this.#serially(() => this.#refresh(true))
  }

  /** Uses what has changed and holds still. For the watcher, and for tests of it. */
  poll(): Promise<ReloadReport> {
    return this.#serially(() => this.#refresh(false))
  }

  /** Every certificate that is in use, by file. */
  certificates(): CertificateStatus[] {
    const { snapshot } = this.#inUse
    const usedBy = pathsOf(snapshot, this.#servers)
    const now = this.#wallClock()
    return [...snapshot.certificates.values()].map((one) => ({
      usedBy: usedBy.get(one.source.id) ?? [],
      file: one.source.cert,
      keyFile: one.source.key,
      names: one.names,
      keyType: one.keyType,
      notBefore: one.notBefore,
      notAfter: one.notAfter,
      daysLeft: daysLeft(one, now),
      fingerprint: one.fingerprint,
    }))
  }

  /** Stops looking, and ends a reload that is under way. The contexts go with the engine. */
  close(): void {
    this.#closed = true
    for (const cancel of this.#due) cancel()
  }

  async #refresh(everything: boolean): Promise<ReloadReport> {
    const library = this.#loaded()
    const stopped = () => this.#closed
    const found = await library.look(everything, stopped)
    const nothing = found.changed.length === 0 && found.problems.length === 0
    if (nothing && sameMembers(found.snapshot, library.snapshot)) {
      return { changed: [], errors: [] }
    }
    const build = new Build(this.#engine, found.snapshot, this.#inUse, stopped)
    build.problems.push(...found.problems)
    await build.run(this.#servers)
    // The engine may be gone.
    if (this.#closed) return { changed: [], errors: [] }
    const before = this.#inUse.snapshot
    const unused = build.unused
    this.#use(library, build)
    this.#forget(unused)
    const { certificates, trust } = this.#inUse.snapshot
    for (const [id, one] of certificates) {
      if (before.certificates.get(id)?.hash !== one.hash) this.#warn(one)
    }
    for (const [key, one] of trust) {
      if (before.trust.get(key)?.hash !== one.hash) this.#warnOfTrust(one)
    }
    return this.#report(found, build.problems)
  }

  /** From here on the new ones count; all at once. */
  #use(library: Library, { result }: Build): void {
    const { clients } = this.#inUse
    this.#inUse = result
    library.snapshot = result.snapshot
    for (const bind of this.#binds) bind.replace(this.#setsOf(bind.tls))
    const renewed = [...clients].some(([tls, { context }]) => {
      return result.clients.get(tls)?.context !== context
    })
    if (renewed) this.#options.onServers?.()
  }

  /** Later: answers that name the contexts may be on their way, and replaced routes live for a while. */
  #forget(contexts: ReadonlySet<number>): void {
    if (contexts.size === 0) return
    this.#after(FORGET_DELAY, () => {
      for (const context of contexts) this.#engine.tlsForget(context)
    })
  }

  /** Once, unless the store is closed before. */
  #after(ms: number, fn: () => void): void {
    const cancel = this.#options.clock.after(ms, () => {
      this.#due.delete(cancel)
      fn()
    })
    this.#due.add(cancel)
  }

  #every(ms: number, work: () => Promise<unknown>): void {
    const again = () => {
      if (!this.#closed) this.#every(ms, work)
    }
    this.#after(ms, () => void work().then(again, again))
  }

  #report({ changed }: Look, problems: readonly Problem[]): ReloadReport {
    for (const problem of problems) {
      const { file, paths } = problem
      this.#logger.error({ file, paths }, `${lineOf(problem)} What was in use before stays in use.`)
    }
    const broken = new Set(problems.flatMap(({ file }) => file.split(' and ')))
    const report = {
      changed: changed.filter((file) => !broken.has(file)),
      errors: problems.map(lineOf),
    }
    if (report.changed.length > 0) {
      this.#logger.info(
        { files: report.changed },
        `${report.changed.length} certificate files reloaded`,
      )
      this.#options.onReload?.(report)
    }
    return report
  }

  #warnOfExpiry(): void {
    const { certificates, trust } = this.#inUse.snapshot
    for (const one of certificates.values()) this.#warnOfDays(one)
    for (const one of trust.values()) this.#warnOfLists(one)
  }

  #warn(certificate: Certificate): void {
    this.#tell(certificate.warnings)
    this.#warnOfDays(certificate)
  }

  #warnOfDays(certificate: Certificate): void {
    const now = this.#wallClock()
    const file = certificate.source.cert
    const wrong = describeValidity(certificate, now)
    const days = daysLeft(certificate, now)
    const bindings = { file, daysLeft: days }
    if (wrong) this.#logger.error(bindings, `${file}: ${wrong}`)
    else if (days < WARN_DAYS) this.#logger.warn(bindings, `${file}: expires in ${days} days`)
    const stapled = describeOcsp(certificate, now)
    const { ocsp = '' } = certificate.source
    if (stapled) this.#tell([{ file: ocsp, message: stapled }])
  }

  #warnOfTrust(trust: TrustText): void {
    this.#tell(trust.warnings)
    this.#warnOfLists(trust)
  }

  #warnOfLists(trust: TrustText): void {
    for (const { file, message } of overdueLists(trust, this.#wallClock())) {
      this.#logger.error({ file }, `${file}: ${message}`)
    }
  }

  #tell(warnings: readonly { file: string; message: string }[]): void {
    for (const { file, message } of warnings) this.#logger.warn({ file }, `${file}: ${message}`)
  }

  #setsOf(tls: readonly ResolvedDownstreamTls[]): DownstreamSet[] {
    return tls.flatMap((one) => this.#inUse.sets.get(one) ?? [])
  }

  #loaded(): Library {
    if (this.#library && !this.#closed) return this.#library
    throw new SluiceError('ERR_SLUICE_STATE', 'Certificates are there only while the proxy runs.')
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => {})
    return done
  }

  get #wallClock(): () => number {
    return this.#options.wallClock ?? Date.now
  }
}

function sameMembers(a: Snapshot, b: Snapshot): boolean {
  for (const [tls, sources] of a.members) {
    const others = b.members.get(tls) ?? []
    if (sources.length !== others.length) return false
    if (sources.some(({ id }, i) => id !== others[i]?.id)) return false
  }
  return true
}
