/** Which certificates are for a server name. */

import { wildcardOf } from '../address/host-name.js'
import type { KeyType } from './certificates.js'

interface Named {
  readonly names: readonly string[]
  readonly keyType: KeyType
}

/** Certificates that are shown for the same names: at most one of each key type, the fastest first. */
export type Group<T> = readonly T[]

const order: readonly KeyType[] = ['ecdsa', 'ed25519', 'rsa']

/**
 * The certificates of one set by name: exact names, then '*.name' for one label
 * (RFC 6125 section 6.4.3). Of two certificates of one key type for a name the
 * first one counts.
 */
export class NameTable<T extends Named> {
  /** For names that no certificate is for: the first certificate, and its like of other key types. */
  readonly fallback: Group<T> | undefined
  readonly #groups = new Map<string, Group<T>>()

  constructor(certificates: readonly T[]) {
    const byName = new Map<string, T[]>()
    for (const one of certificates) {
      for (const name of one.names) {
        const same = byName.get(name) ?? []
        byName.set(name, same)
        if (!same.some(({ keyType }) => keyType === one.keyType)) same.push(one)
      }
    }
    // Equal groups become one, so that they share a context.
    const ids = new Map(certificates.map((one, i) => [one, i]))
    const known = new Map<string, Group<T>>()
    const unify = (group: T[]): Group<T> => {
      const sorted = group.sort((a, b) => order.indexOf(a.keyType) - order.indexOf(b.keyType))
      const key = sorted.map((one) => ids.get(one)).join(' ')
      const same = known.get(key) ?? sorted
      known.set(key, same)
      return same
    }
    for (const [name, group] of byName) this.#groups.set(name, unify(group))
    const [first] = certificates
    const named = first?.names[0]
    this.fallback = named === undefined ? first && unify([first]) : this.#groups.get(named)
  }

  /** Every group once. */
  get groups(): Group<T>[] {
    const all = new Set(this.#groups.values())
    if (this.fallback) all.add(this.fallback)
    return [...all]
  }

  /** Preconditions: lower case, no final dot. */
  exact(name: string): Group<T> | undefined {
    return this.#groups.get(name)
  }

  /** '*.example.com' for 'a.example.com'. */
  wildcard(name: string): Group<T> | undefined {
    const wildcard = wildcardOf(name)
    return wildcard === undefined ? undefined : this.#groups.get(wildcard)
  }
}
