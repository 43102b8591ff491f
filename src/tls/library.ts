/**
 * What is on disk: certificates, authorities and revocation lists, read anew
 * without giving up what was good. Knows nothing of engines.
 */

import { SluiceError } from '../base/errors.js'
import type { ResolvedDownstreamTls, ResolvedUpstreamTls } from '../config/resolved.js'
import {
  NO_TRUST,
  readAuthorities,
  readRevocations,
  systemAuthorities,
  type TrustText,
} from './authorities.js'
import {
  type Certificate,
  type CertificateSource,
  readCertificate,
  sourceOf,
} from './certificates.js'
import type { Fault, Read } from './content.js'
import { askAll, findSources, KeylessFiles, look } from './files.js'
import { giveTurn } from './turns.js'

/** A fault with the paths of the configuration that it concerns. */
export interface Problem extends Fault {
  readonly paths: readonly string[]
}

/** Everything at one moment. */
export interface Snapshot {
  /** By the id of the source. */
  readonly certificates: ReadonlyMap<string, Certificate>
  /** By what `trustKey` says. */
  readonly trust: ReadonlyMap<string, TrustText>
  /** Sources of each set, in order. */
  readonly members: ReadonlyMap<ResolvedDownstreamTls, readonly CertificateSource[]>
}

export interface Look {
  /** What it is now: what could not be read is as it was before. */
  readonly snapshot: Snapshot
  readonly problems: readonly Problem[]
  /** Files whose content is new, and those that are gone. */
  readonly changed: readonly string[]
}

/** Something that is read as a whole: a certificate's files, or a list of authorities. */
interface Unit {
  readonly id: string
  readonly files: readonly string[]
  readonly paths: Set<string>
  /** Answers with what stands in the snapshot where the files are the same. */
  read(): Promise<Read<Certificate | TrustText>>
}

const EMPTY: Snapshot = { certificates: new Map(), trust: new Map(), members: new Map() }

export function trustKey(kind: 'ca' | 'crl', files: readonly string[]): string {
  return `${kind}\n${files.join('\n')}`
}

export class Library {
  snapshot: Snapshot = EMPTY
  readonly #sets: readonly ResolvedDownstreamTls[]
  readonly #servers: readonly ResolvedUpstreamTls[]
  readonly #now: () => number
  /** What files looked like when they were last read, and at the last look. */
  #read = new Map<string, string>()
  #seen = new Map<string, string>()
  readonly #keyless = new KeylessFiles()
  /** Sources that were gone at the last look. */
  #gone = new Set<string>()
  /** Units that could not be read, with what their files looked like: told when they stay so. */
  #doubtful = new Map<string, string>()
  /** The same for folders; `times` counts. */
  #folders = new Map<ResolvedDownstreamTls, { state: string; times: number }>()

  /** `now`: ms since 1970. */
  constructor(
    sets: readonly ResolvedDownstreamTls[],
    servers: readonly ResolvedUpstreamTls[],
    now: () => number,
  ) {
    this.#sets = sets
    this.#servers = servers
    this.#now = now
  }

  /**
   * Looks at every file. `everything` reads them all and tells what is wrong. Otherwise a file
   * is read when it has changed and was the same at the look before, and what is wrong with it
   * is told when it still is at the next look: it may have been half written.
   *
   * Other work has its turn behind each certificate. Throws ERR_SLUICE_STATE once `stopped`.
   */
  async look(everything: boolean, stopped = () => false): Promise<Look> {
    const problems: Problem[] = []
    const held = new Set<string>()
    const members = await this.#findMembers(everything, problems, held)
    const units = this.#units(members)
    const now = await lookAtAll(new Set(units.flatMap(({ files }) => files)))
    const wanted = new Set(
      units.filter((unit) => !held.has(unit.id) && (everything || this.#isDue(unit, now))),
    )
    const before = this.snapshot
    const certificates = new Map<string, Certificate>()
    const trust = new Map<string, TrustText>()
    const keep = ({ id }: Unit) => {
      const certificate = before.certificates.get(id)
      const text = before.trust.get(id)
      if (certificate) certificates.set(id, certificate)
      if (text) trust.set(id, text)
    }
    const changed = new Set<string>()
    for (const unit of units) {
      keep(unit)
      if (!wanted.has(unit)) continue
      const old = certificates.get(unit.id) ?? trust.get(unit.id)
      const read = await unit.read()
      await giveTurn(stopped)
      if (!('value' in read)) {
        if (!everything && this.#mayRecover(unit, now)) continue
        this.#taken(unit, now)
        const paths = [...unit.paths]
        problems.push(...read.faults.map((fault) => ({ ...fault, paths })))
        continue
      }
      this.#taken(unit, now)
      const { value } = read
      if (old?.hash === value.hash) continue
      for (const [file, hash] of value.hashes) if (old?.hashes.get(file) !== hash) changed.add(file)
      for (const file of old?.hashes.keys() ?? []) if (!value.hashes.has(file)) changed.add(file)
      if ('chain' in value) certificates.set(unit.id, value)
      else trust.set(unit.id, value)
    }
    for (const [id, { source }] of before.certificates) {
      if (!certificates.has(id)) changed.add(source.cert)
    }
    this.#seen = now
    for (const file of this.#read.keys()) if (!now.has(file)) this.#read.delete(file)
    const snapshot = { certificates, trust, members }
    return { snapshot, problems, changed: [...changed] }
  }

  /** The sources of every set; where a folder cannot be read, those that were there before, as `held`. */
  async #findMembers(
    everything: boolean,
    problems: Problem[],
    held: Set<string>,
  ): Promise<Map<ResolvedDownstreamTls, readonly CertificateSource[]>> {
    const members = new Map<ResolvedDownstreamTls, readonly CertificateSource[]>()
    const gone = new Set<string>()
    for (const tls of this.#sets) {
      const before = this.snapshot.members.get(tls) ?? []
      const found = await findSources(tls, this.#keyless)
      if ('faults' in found) {
        members.set(tls, before)
        for (const source of before) if (source.inFolder) held.add(source.id)
        if (!everything && !this.#isLasting(tls, found.faults)) continue
        problems.push(...found.faults.map((fault) => ({ ...fault, paths: [tls.path] })))
        continue
      }
      this.#folders.delete(tls)
      const there = new Set(found.value.map((source) => source.id))
      const missing = before.filter((source) => !there.has(source.id))
      for (const source of missing) gone.add(source.id)
      // Gone for a moment may be half of a replacement.
      const kept = everything ? [] : missing.filter((source) => !this.#gone.has(source.id))
      members.set(tls, [...found.value, ...kept])
    }
    this.#gone = gone
    return members
  }

  #units(members: ReadonlyMap<ResolvedDownstreamTls, readonly CertificateSource[]>): Unit[] {
    const units = new Map<string, Unit>()
    const add = (unit: Omit<Unit, 'paths'>, path: string) => {
      const known = units.get(unit.id) ?? { ...unit, paths: new Set() }
      known.paths.add(path)
      units.set(unit.id, known)
    }
    const addCertificate = (source: CertificateSource, path: string) => {
      const { id, cert, key, ocsp } = source
      const files = [...new Set([cert, key, ...(ocsp === undefined ? [] : [ocsp])])]
      add(
        { id, files, read: () => readCertificate(source, this.snapshot.certificates.get(id)) },
        path,
      )
    }
    const addTrust = ({ ca, crl, path }: Pick<ResolvedUpstreamTls, 'ca' | 'crl' | 'path'>) => {
      if (ca.length > 0) {
        const id = trustKey('ca', ca)
        const read = () => readAuthorities(ca, this.#now(), this.snapshot.trust.get(id))
        add({ id, files: ca, read }, `${path}.ca`)
      }
      if (crl.length > 0) {
        const id = trustKey('crl', crl)
        const read = () => readRevocations(crl, this.snapshot.trust.get(id))
        add({ id, files: crl, read }, `${path}.crl`)
      }
    }
    for (const tls of this.#sets) {
      for (const source of members.get(tls) ?? []) addCertificate(source, tls.path)
      addTrust(tls)
    }
    for (const tls of this.#servers) {
      if (tls.certificate) addCertificate(sourceOf(tls.certificate), tls.path)
      addTrust(tls)
    }
    return [...units.values()]
  }

  /** A file is another one than was read, has come or is gone; and all of them hold still. */
  #isDue({ id, files }: Unit, now: ReadonlyMap<string, string>): boolean {
    const loaded = this.snapshot.certificates.get(id)?.hashes.size ?? files.length
    const changed =
      loaded > files.length || files.some((file) => now.get(file) !== this.#read.get(file))
    return changed && files.every((file) => now.get(file) === this.#seen.get(file))
  }

  /** The first time that these very files cannot be used. */
  #mayRecover(unit: Unit, now: ReadonlyMap<string, string>): boolean {
    const state = unit.files.map((file) => now.get(file)).join('\n')
    const first = this.#doubtful.get(unit.id) !== state
    this.#doubtful.set(unit.id, state)
    return first
  }

  /** The second time that a folder cannot be used in the same way; false afterwards. */
  #isLasting(tls: ResolvedDownstreamTls, faults: readonly Fault[]): boolean {
    const state = faults.map(({ file, message }) => file + message).join('\n')
    const before = this.#folders.get(tls)
    const times = before?.state === state ? before.times + 1 : 1
    this.#folders.set(tls, { state, times })
    return times === 2
  }

  #taken(unit: Unit, now: ReadonlyMap<string, string>): void {
    this.#doubtful.delete(unit.id)
    for (const file of unit.files) this.#read.set(file, now.get(file) as string)
  }
}

async function lookAtAll(files: ReadonlySet<string>): Promise<Map<string, string>> {
  const all = [...files]
  const states = await askAll(all, look)
  return new Map(all.map((file, i) => [file, states[i] as string]))
}

export function trustOf(
  snapshot: Snapshot,
  kind: 'ca' | 'crl',
  files: readonly string[],
): TrustText {
  return snapshot.trust.get(trustKey(kind, files)) ?? NO_TRUST
}

/** The certificates of a set that could be read. */
export function certificatesOf(snapshot: Snapshot, tls: ResolvedDownstreamTls): Certificate[] {
  const sources = snapshot.members.get(tls) ?? []
  return sources.flatMap(({ id }) => snapshot.certificates.get(id) ?? [])
}

/** Authorities of the system that are asked for and cannot be read. */
export function systemProblems(servers: readonly ResolvedUpstreamTls[]): Problem[] {
  const paths = servers.filter(({ systemCa }) => systemCa).map(({ path }) => path)
  if (paths.length === 0) return []
  try {
    systemAuthorities()
    return []
  } catch (error) {
    return [{ file: 'the authorities of the system', message: (error as Error).message, paths }]
  }
}

/** The paths of the configuration that use each certificate, by the id of its source. */
export function pathsOf(
  { members }: Snapshot,
  servers: readonly ResolvedUpstreamTls[],
): Map<string, string[]> {
  const paths = new Map<string, string[]>()
  const add = (id: string, path: string) => paths.set(id, [...(paths.get(id) ?? []), path])
  for (const [tls, sources] of members) for (const { id } of sources) add(id, tls.path)
  for (const { certificate, path } of servers) if (certificate) add(sourceOf(certificate).id, path)
  return paths
}

/** 'frontends.web.bind.tls: /etc/ssl/a.pem: is empty; ...' */
export function lineOf({ paths, file, message }: Problem): string {
  return `${paths.join(', ')}: ${file}: ${message}`
}

/** All that is wrong in one error. `lines`: of `lineOf`. `where`: the configuration's file. */
export function certificateError(lines: readonly string[], where?: string): SluiceError {
  const count = `${lines.length} problem${lines.length === 1 ? '' : 's'}`
  const text = [
    `${where ? `${where}: ` : ''}certificates: ${count}`,
    ...lines.map((line) => `  ${line}`),
  ]
  return new SluiceError('ERR_SLUICE_TLS', text.join('\n'))
}
