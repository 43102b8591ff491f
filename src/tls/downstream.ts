/** Contexts of the engine for the certificates of a bind. */

import { createHash } from 'node:crypto'
import type { ResolvedDownstreamTls } from '../config/resolved.js'
import type { DownstreamTlsSpec, Engine, TlsCertificate } from '../engine/engine.js'
import type { ClientCertDemand } from '../policy/types.js'
import type { TrustText } from './authorities.js'
import type { Certificate } from './certificates.js'
import type { DownstreamContexts } from './contexts.js'
import { type Group, NameTable } from './names.js'

/** A group of certificates with its context, and those that were made for other demands. */
export interface Slot {
  readonly group: Group<Certificate>
  readonly context: number
  readonly variants: Map<ClientCertDemand, number>
}

/** What a set of certificates is made from. */
export interface SetContent {
  readonly tls: ResolvedDownstreamTls
  readonly certificates: readonly Certificate[]
  readonly ca: TrustText
  readonly crl: TrustText
}

/** A set of certificates with its contexts: complete, and never changed but for its variants. */
export class DownstreamSet {
  readonly content: SetContent
  readonly slots: ReadonlyMap<string, Slot>
  readonly #table: NameTable<Certificate>
  readonly #byGroup = new Map<Group<Certificate>, Slot>()

  constructor(content: SetContent, slots: ReadonlyMap<string, Slot>) {
    this.content = content
    this.slots = slots
    this.#table = new NameTable(content.certificates)
    for (const group of this.#table.groups) {
      this.#byGroup.set(group, slots.get(slotKey(content, group)) as Slot)
    }
  }

  exact(name: string): Slot | undefined {
    const group = this.#table.exact(name)
    return group && this.#byGroup.get(group)
  }

  wildcard(name: string): Slot | undefined {
    const group = this.#table.wildcard(name)
    return group && this.#byGroup.get(group)
  }

  get fallback(): Slot | undefined {
    const { fallback } = this.#table
    return fallback && this.#byGroup.get(fallback)
  }
}

/** The groups of a set with the keys of their slots. */
export function groupsOf(content: SetContent): Map<string, Group<Certificate>> {
  const { groups } = new NameTable(content.certificates)
  return new Map(groups.map((group) => [slotKey(content, group), group]))
}

/** Equal keys: an equal context. */
function slotKey({ ca, crl }: SetContent, group: Group<Certificate>): string {
  return [ca.hash, crl.hash, ...group.map(({ hash }) => hash)].join('/')
}

/** What the engine makes the context of a group from. */
export function downstreamSpec(
  { tls, ca, crl }: SetContent,
  group: Group<Certificate>,
  clientCert: ClientCertDemand,
): DownstreamTlsSpec {
  const asks = clientCert !== 'none'
  const isolation = [tls.path, clientCert, asks ? ca.hash : '', asks ? crl.hash : '']
  return {
    certificates: group.map(engineCertificate),
    clientCert,
    sessionGroup: createHash('sha256').update(isolation.join('\n')).digest('hex').slice(0, 32),
    tickets: tls.tickets,
    ticketRotation: tls.ticketRotation,
    sessionCache: tls.sessionCache,
    alpn: tls.alpn,
    minVersion: tls.minVersion,
    maxVersion: tls.maxVersion,
    ciphers: tls.ciphers,
    groups: tls.groups,
    ca: asks ? ca.pem : '',
    crl: asks ? crl.pem : '',
  }
}

/** The key's PEM lives as long as the answer. */
export function engineCertificate({ chain, key, ocsp }: Certificate): TlsCertificate {
  const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString()
  return { chain, key: pem, ...(ocsp && { ocsp }) }
}

/** The certificates of one bind. A reload replaces its sets. */
export class BindContexts implements DownstreamContexts {
  readonly tls: readonly ResolvedDownstreamTls[]
  readonly #engine: Engine
  readonly #failed: (path: string, error: unknown) => void
  readonly #strict: boolean
  #sets: readonly DownstreamSet[]

  /** `failed`: a context for another demand could not be made. */
  constructor(
    tls: readonly ResolvedDownstreamTls[],
    sets: readonly DownstreamSet[],
    engine: Engine,
    failed: (path: string, error: unknown) => void,
  ) {
    this.tls = tls
    this.#sets = sets
    this.#engine = engine
    this.#failed = failed
    this.#strict = tls[0]?.strictSni ?? false
  }

  replace(sets: readonly DownstreamSet[]): void {
    this.#sets = sets
  }

  choose(serverName: string, demand?: ClientCertDemand): number | undefined {
    // By hand: this runs for every handshake.
    for (const set of this.#sets) {
      const slot = set.exact(serverName)
      if (slot) return this.#answer(set, slot, demand)
    }
    for (const set of this.#sets) {
      const slot = set.wildcard(serverName)
      if (slot) return this.#answer(set, slot, demand)
    }
    const [first] = this.#sets
    const slot = this.#strict ? undefined : first?.fallback
    return first && slot && this.#answer(first, slot, demand)
  }

  #answer(
    set: DownstreamSet,
    slot: Slot,
    demand: ClientCertDemand | undefined,
  ): number | undefined {
    const { tls, ca } = set.content
    if (demand === undefined || demand === tls.clientCert) return slot.context
    if (demand !== 'none' && ca.pem === '') return undefined
    const known = slot.variants.get(demand)
    if (known !== undefined) return known
    try {
      const made = this.#engine.downstreamTls(downstreamSpec(set.content, slot.group, demand))
      slot.variants.set(demand, made)
      return made
    } catch (error) {
      this.#failed(tls.path, error)
      return undefined
    }
  }
}
