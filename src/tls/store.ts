/**
 * Every certificate of a proxy: from files to contexts of the engine, and again
 * when the files change. Nothing that is in use is given up before its
 * successor is there, and what is broken changes nothing.
 */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Clock } from '../clock.js'
import type {
  ResolvedBind,
  ResolvedClientTls,
  ResolvedServer,
  ResolvedServerTls,
} from '../config/resolved.js'
import type { Engine, TlsClientSpec } from '../engine/engine.js'
import { SluiceError } from '../errors.js'
import { systemAuthorities } from './authorities.js'
import { type Certificate, daysLeft, describeValidity, sourceOf } from './certificates.js'
import type {
  CertificateStatus,
  ContextSupplier,
  ReloadReport,
  ServerContexts,
} from './contexts.js'
import {
  certificateError,
  certificatesOf,
  Library,
  type Look,
  lineOf,
  type Problem,
  pathsOf,
  type Snapshot,
  systemProblems,
  trustOf,
} from './library.js'
import {
  BindContexts,
  engineCertificate,
  groupsOf,
  ServerSet,
  type SetContent,
  type Slot,
  serverSpec,
} from './server-contexts.js'

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
/** Names of servers whose sessions are kept. */
const CLIENT_SESSIONS = 256
/** Contexts that are made before other work gets its turn. */
const CONTEXTS_PER_TURN = 8
/** ms for which contexts outlive their successors: more than a replaced route lives. */
const FORGET_DELAY = 10_000

/** The context for a server. */
interface Client {
  readonly context: number
  /** Hashes of what it was made from. */
  readonly key: string
}

/** What one reload makes, before anything of it is used. */
interface Build {
  readonly certificates: Map<string, Certificate>
  readonly sets: Map<ResolvedServerTls, ServerSet>
  readonly clients: Map<ResolvedClientTls, Client>
  /** Contexts that nothing refers to yet. */
  readonly made: Set<number>
  readonly problems: Problem[]
}

export class TlsStore implements ContextSupplier {
  readonly #options: TlsStoreOptions
  readonly #engine: Engine
  readonly #logger: Logger
  readonly #binds = new Set<BindContexts>()
  #clients: ReadonlyMap<ResolvedClientTls, Client> = new Map()
  #library: Library | undefined
  #sets: ReadonlyMap<ResolvedServerTls, ServerSet> = new Map()
  #servers: readonly ResolvedClientTls[] = []
  #last: Promise<unknown> = Promise.resolve()
  #timers: (() => void)[] = []
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
    binds: readonly (readonly ResolvedServerTls[])[],
    servers: readonly ResolvedClientTls[],
  ): Promise<void> {
    const sets = [...new Set(binds.flat())]
    this.#library = new Library(sets, servers, this.#wallClock)
    this.#servers = servers
    const found = await this.#library.look(true)
    const problems = [...found.problems, ...systemProblems(servers)]
    const build = newBuild(found.snapshot)
    if (problems.length === 0) await this.#build(found.snapshot, build)
    problems.push(...build.problems)
    if (problems.length > 0) {
      for (const context of build.made) this.#engine.tlsForget(context)
      throw certificateError(problems.map(lineOf))
    }
    this.#library.snapshot = found.snapshot
    this.#sets = build.sets
    this.#clients = build.clients
    for (const { path, verify } of servers) {
      if (!verify)
        this.#logger.warn(
          { path },
          `${path}: verify is 'none': whoever answers is trusted, nothing proves that it is the server`,
        )
    }
    for (const certificate of found.snapshot.certificates.values()) this.#warn(certificate)
    for (const { warnings } of found.snapshot.trust.values()) this.#tell(warnings)
  }

  /** Looks at the files and the days left, every now and then, until `close`. */
  watch(): void {
    const { clock, interval } = this.#options
    const every = (index: number, ms: number, work: () => Promise<unknown> | undefined) => {
      this.#timers[index] = clock.after(ms, () => {
        const again = () => {
          if (!this.#closed) every(index, ms, work)
        }
        Promise.resolve(work()).then(again, again)
      })
    }
    if (this.#library?.snapshot.certificates.size === 0 && this.#library.snapshot.trust.size === 0)
      return
    if (interval > 0) every(0, interval, () => this.poll())
    every(1, DAY, () => this.#warnOfExpiry())
  }

  /** Precondition: the bind's sets were loaded. */
  forBind({ tls = [] }: Pick<ResolvedBind, 'tls'>): ServerContexts {
    const bind = new BindContexts(tls, this.#setsOf(tls), this.#engine, (path, error) =>
      this.#logger.error({ path, err: error }, `${path}: no context for another demand`),
    )
    this.#binds.add(bind)
    return bind
  }

  /** Precondition: the server's TLS was loaded. */
  forServer({ tls }: Pick<ResolvedServer, 'tls'>): number {
    const client = tls && this.#clients.get(tls)
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
    if (!this.#library) return []
    const { snapshot } = this.#library
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

  /** Stops looking. The contexts go with the engine. Resolves when no reload is under way. */
  async close(): Promise<void> {
    this.#closed = true
    for (const cancel of this.#timers) cancel?.()
    await this.#last
  }

  async #refresh(everything: boolean): Promise<ReloadReport> {
    const library = this.#loaded()
    const found = await library.look(everything)
    const nothing = found.changed.length === 0 && found.problems.length === 0
    if (this.#closed || (nothing && sameMembers(found.snapshot, library.snapshot))) {
      return { changed: [], errors: [] }
    }
    const build = newBuild(found.snapshot)
    build.problems.push(...found.problems)
    await this.#build(found.snapshot, build)
    // The engine may be gone.
    if (this.#closed) return { changed: [], errors: [] }
    const fresh = this.#swap(library, found, build)
    return this.#report(found, build.problems, fresh)
  }

  /** Makes every context that is new. A certificate that the engine refuses gives way to its predecessor. */
  async #build(snapshot: Snapshot, build: Build): Promise<void> {
    const before = this.#library?.snapshot
    for (const tls of snapshot.members.keys()) {
      await this.#buildSet(tls, snapshot, build, before)
      await nextTurn()
    }
    const next = { ...snapshot, certificates: build.certificates }
    for (const tls of this.#servers) {
      const key = clientKey(tls, next)
      if (key === this.#clients.get(tls)?.key || this.#closed) continue
      try {
        const context = this.#engine.tlsClient(clientSpec(tls, next))
        build.made.add(context)
        build.clients.set(tls, { context, key })
      } catch (error) {
        const file = tls.certificate?.cert ?? tls.ca[0] ?? 'TLS'
        build.problems.push({ file, message: messageOf(error), paths: [tls.path] })
      }
    }
  }

  async #buildSet(
    tls: ResolvedServerTls,
    snapshot: Snapshot,
    build: Build,
    before: Snapshot | undefined,
  ): Promise<void> {
    const old = this.#sets.get(tls)
    const slots = new Map<string, Slot>(old?.slots)
    let trust = { ca: trustOf(snapshot, 'ca', tls.ca), crl: trustOf(snapshot, 'crl', tls.crl) }
    for (;;) {
      const certificates = certificatesOf({ ...snapshot, certificates: build.certificates }, tls)
      if (certificates.length === 0) {
        if (!old) return
        const message = 'no certificate is left.'
        build.problems.push({ file: tls.directories[0] ?? '', message, paths: [tls.path] })
        for (const one of old.content.certificates) build.certificates.set(one.source.id, one)
        build.sets.set(tls, old)
        return
      }
      const content: SetContent = { tls, certificates, ...trust }
      const groups = groupsOf(content)
      const refused = await this.#makeSlots(content, groups, slots, build)
      if (!refused) {
        const used = new Map([...groups.keys()].map((key) => [key, slots.get(key) as Slot]))
        build.sets.set(tls, new ServerSet(content, used))
        return
      }
      const [group, error] = refused
      const files = group.map(({ source }) => source.cert)
      build.problems.push({
        file: files.join(' and '),
        message: messageOf(error),
        paths: [tls.path],
      })
      const reverted = group.filter(({ source: { id }, hash }) => {
        const previous = before?.certificates.get(id)
        if (previous?.hash === hash) return false
        if (previous) build.certificates.set(id, previous)
        else build.certificates.delete(id)
        return true
      })
      if (reverted.length > 0) continue
      // The authorities or lists are what the engine does not like; or there is nothing to go back to.
      if (!old || trust.ca === old.content.ca) return
      trust = { ca: old.content.ca, crl: old.content.crl }
    }
  }

  /** The group that the engine refuses, and why. */
  async #makeSlots(
    content: SetContent,
    groups: ReturnType<typeof groupsOf>,
    slots: Map<string, Slot>,
    build: Build,
  ): Promise<readonly [group: readonly Certificate[], error: unknown] | undefined> {
    let count = 0
    for (const [key, group] of groups) {
      if (slots.has(key)) continue
      if (this.#closed) throw new SluiceError('ERR_SLUICE_STATE', 'The proxy has stopped.')
      try {
        const context = this.#engine.tlsServer(serverSpec(content, group, content.tls.clientCert))
        build.made.add(context)
        slots.set(key, { group, context, variants: new Map() })
      } catch (error) {
        return [group, error]
      }
      if (++count % CONTEXTS_PER_TURN === 0) await nextTurn()
    }
    return undefined
  }

  /** From here on the new ones count; all at once. Returns the certificates that are new. */
  #swap(library: Library, { snapshot }: Look, build: Build): Certificate[] {
    const before = library.snapshot.certificates
    const fresh = [...build.certificates.values()].filter(
      ({ source, hash }) => before.get(source.id)?.hash !== hash,
    )
    const oldSets = this.#sets
    library.snapshot = { ...snapshot, certificates: build.certificates }
    this.#sets = new Map([...oldSets, ...build.sets])
    for (const bind of this.#binds) bind.replace(this.#setsOf(bind.tls))
    const inUse = new Set([...this.#sets.values()].flatMap((set) => [...set.slots.values()]))
    const gone = new Set<number>(build.made)
    for (const { context } of inUse) gone.delete(context)
    for (const slot of new Set([...oldSets.values()].flatMap((set) => [...set.slots.values()]))) {
      if (inUse.has(slot)) continue
      gone.add(slot.context)
      for (const context of slot.variants.values()) gone.add(context)
    }
    for (const [tls, { context }] of build.clients) {
      gone.delete(context)
      const old = this.#clients.get(tls)
      if (old) gone.add(old.context)
    }
    if (build.clients.size > 0) {
      this.#clients = new Map([...this.#clients, ...build.clients])
      this.#options.onServers?.()
    }
    this.#forget(gone)
    return fresh
  }

  /** Later: answers that name the contexts may be on their way, and replaced routes live for a while. */
  #forget(contexts: ReadonlySet<number>): void {
    if (contexts.size === 0) return
    this.#options.clock.after(FORGET_DELAY, () => {
      if (this.#closed) return
      for (const context of contexts) this.#engine.tlsForget(context)
    })
  }

  #report(
    { changed }: Look,
    problems: readonly Problem[],
    fresh: readonly Certificate[],
  ): ReloadReport {
    for (const problem of problems) {
      const { file, paths } = problem
      this.#logger.error({ file, paths }, `${lineOf(problem)} What was in use before stays in use.`)
    }
    for (const certificate of fresh) this.#warn(certificate)
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

  #warnOfExpiry(): undefined {
    for (const one of this.#library?.snapshot.certificates.values() ?? []) {
      this.#warnOfDays(one)
    }
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
  }

  #tell(warnings: readonly { file: string; message: string }[]): void {
    for (const { file, message } of warnings) this.#logger.warn({ file }, `${file}: ${message}`)
  }

  #setsOf(tls: readonly ResolvedServerTls[]): ServerSet[] {
    return tls.flatMap((one) => this.#sets.get(one) ?? [])
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

function newBuild(snapshot: Snapshot): Build {
  return {
    certificates: new Map(snapshot.certificates),
    sets: new Map(),
    clients: new Map(),
    made: new Set(),
    problems: [],
  }
}

function clientKey(tls: ResolvedClientTls, snapshot: Snapshot): string {
  const certificate = tls.certificate && snapshot.certificates.get(sourceOf(tls.certificate).id)
  const { ca, crl } = tls
  return [
    trustOf(snapshot, 'ca', ca).hash,
    trustOf(snapshot, 'crl', crl).hash,
    certificate?.hash,
  ].join('/')
}

function clientSpec(tls: ResolvedClientTls, snapshot: Snapshot): TlsClientSpec {
  const certificate = tls.certificate && snapshot.certificates.get(sourceOf(tls.certificate).id)
  return {
    verify: tls.verify,
    ...(certificate && { certificate: engineCertificate(certificate) }),
    sessionCache: tls.resumption ? CLIENT_SESSIONS : 0,
    alpn: tls.alpn,
    minVersion: tls.minVersion,
    maxVersion: tls.maxVersion,
    ciphers: tls.ciphers,
    groups: tls.groups,
    ca: tls.systemCa ? systemAuthorities() : trustOf(snapshot, 'ca', tls.ca).pem,
    crl: trustOf(snapshot, 'crl', tls.crl).pem,
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
