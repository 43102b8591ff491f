/** From what is on disk to contexts of the engine, before anything of it is used. */

import type { ResolvedDownstreamTls, ResolvedUpstreamTls } from '../config/resolved.js'
import type { Engine } from '../engine/engine.js'
import type { Certificate } from './certificates.js'
import {
  DownstreamSet,
  downstreamSpec,
  groupsOf,
  type SetContent,
  type Slot,
} from './downstream.js'
import { certificatesOf, type Problem, type Snapshot, trustOf } from './library.js'
import type { Group } from './names.js'
import { giveTurn } from './turns.js'
import { type UpstreamSlot, upstreamKey, upstreamSpec } from './upstream.js'

/** Contexts that are in use, with what they were made from. */
export interface InUse {
  readonly snapshot: Snapshot
  readonly sets: ReadonlyMap<ResolvedDownstreamTls, DownstreamSet>
  readonly clients: ReadonlyMap<ResolvedUpstreamTls, UpstreamSlot>
}

export const NOTHING_IN_USE: InUse = {
  snapshot: { certificates: new Map(), trust: new Map(), members: new Map() },
  sets: new Map(),
  clients: new Map(),
}

/**
 * Makes every context that is new; those whose content is the same stay. What
 * the engine refuses gives way to its predecessor.
 */
export class Build {
  readonly problems: Problem[] = []
  readonly #engine: Engine
  readonly #next: Snapshot
  readonly #old: InUse
  readonly #stopped: () => boolean
  readonly #certificates: Map<string, Certificate>
  readonly #sets: Map<ResolvedDownstreamTls, DownstreamSet>
  readonly #clients: Map<ResolvedUpstreamTls, UpstreamSlot>
  /** Contexts that were made here. */
  readonly #made = new Set<number>()

  /** `stopped`: the engine may be gone. */
  constructor(engine: Engine, next: Snapshot, old: InUse, stopped: () => boolean) {
    this.#engine = engine
    this.#next = next
    this.#old = old
    this.#stopped = stopped
    this.#certificates = new Map(next.certificates)
    this.#sets = new Map(old.sets)
    this.#clients = new Map(old.clients)
  }

  async run(servers: readonly ResolvedUpstreamTls[]): Promise<void> {
    for (const tls of this.#next.members.keys()) {
      await this.#buildSet(tls)
      await giveTurn(this.#stopped)
    }
    for (const tls of servers) await this.#buildClient(tls)
  }

  get result(): InUse {
    const { trust, members } = this.#next
    const snapshot = { certificates: this.#certificates, trust, members }
    return { snapshot, sets: this.#sets, clients: this.#clients }
  }

  /** Contexts that nothing of the result needs: old ones, and new ones that were made in vain. */
  get unused(): Set<number> {
    const unused = new Set([...contextsOf(this.#old), ...this.#made])
    for (const context of contextsOf(this.result)) unused.delete(context)
    return unused
  }

  /** Every context that was made here, for one who uses none of them. */
  get made(): ReadonlySet<number> {
    return this.#made
  }

  async #buildSet(tls: ResolvedDownstreamTls): Promise<void> {
    const old = this.#old.sets.get(tls)
    const slots = new Map<string, Slot>(old?.slots)
    let ca = trustOf(this.#next, 'ca', tls.ca)
    let crl = trustOf(this.#next, 'crl', tls.crl)
    for (;;) {
      const certificates = certificatesOf(this.result.snapshot, tls)
      if (certificates.length === 0) {
        if (old) this.#keepLast(tls, old)
        return
      }
      const content: SetContent = { tls, certificates, ca, crl }
      const groups = groupsOf(content)
      const refused = await this.#makeSlots(content, groups, slots)
      if (!refused) {
        const used = new Map([...groups.keys()].map((key) => [key, slots.get(key) as Slot]))
        this.#sets.set(tls, new DownstreamSet(content, used))
        return
      }
      const files = refused.group.map(({ source }) => source.cert)
      const reverted = this.#revert(refused.group)
      const newTrust = old && (ca !== old.content.ca || crl !== old.content.crl)
      const suspects = reverted || !newTrust ? files : [...tls.ca, ...tls.crl]
      const { message } = refused
      this.problems.push({ file: suspects.join(' and '), message, paths: [tls.path] })
      if (reverted) continue
      if (!newTrust) return
      ca = old.content.ca
      crl = old.content.crl
    }
  }

  /** A set is never left without any certificate. */
  #keepLast(tls: ResolvedDownstreamTls, old: DownstreamSet): void {
    const file = tls.directories[0] ?? tls.path
    this.problems.push({ file, message: 'no certificate is left.', paths: [tls.path] })
    for (const one of old.content.certificates) this.#certificates.set(one.source.id, one)
  }

  /** Puts the old certificates of a group back; false where none of them is new. */
  #revert(group: Group<Certificate>): boolean {
    const fresh = group.filter(
      ({ source, hash }) => this.#old.snapshot.certificates.get(source.id)?.hash !== hash,
    )
    for (const { source } of fresh) {
      const previous = this.#old.snapshot.certificates.get(source.id)
      if (previous) this.#certificates.set(source.id, previous)
      else this.#certificates.delete(source.id)
    }
    return fresh.length > 0
  }

  /** The group that the engine refuses, and why. */
  async #makeSlots(
    content: SetContent,
    groups: ReadonlyMap<string, Group<Certificate>>,
    slots: Map<string, Slot>,
  ): Promise<{ group: Group<Certificate>; message: string } | undefined> {
    for (const [key, group] of groups) {
      if (slots.has(key)) continue
      await giveTurn(this.#stopped)
      try {
        const context = this.#engine.downstreamTls(
          downstreamSpec(content, group, content.tls.clientCert),
        )
        this.#made.add(context)
        slots.set(key, { group, context, variants: new Map() })
      } catch (error) {
        return { group, message: (error as Error).message }
      }
    }
    return undefined
  }

  async #buildClient(tls: ResolvedUpstreamTls): Promise<void> {
    const { snapshot } = this.result
    const key = upstreamKey(tls, snapshot)
    if (key === this.#old.clients.get(tls)?.key) return
    await giveTurn(this.#stopped)
    try {
      const context = this.#engine.upstreamTls(upstreamSpec(tls, snapshot))
      this.#made.add(context)
      this.#clients.set(tls, { context, key })
    } catch (error) {
      const file = tls.certificate?.cert ?? tls.ca[0] ?? 'TLS'
      this.problems.push({ file, message: (error as Error).message, paths: [tls.path] })
    }
  }
}

/** With those for other demands. */
function contextsOf({ sets, clients }: InUse): number[] {
  const slots = [...sets.values()].flatMap((set) => [...set.slots.values()])
  return [
    ...slots.flatMap(({ context, variants }) => [context, ...variants.values()]),
    ...[...clients.values()].map(({ context }) => context),
  ]
}
