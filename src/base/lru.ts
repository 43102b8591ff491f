/** A bounded map by text: what was not used for longest goes first. */

export class Lru<V> {
  /** Most entries. */
  limit: number
  readonly #entries = new Map<string, V>()

  constructor(limit: number) {
    this.limit = limit
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string): V | undefined {
    const value = this.#entries.get(key)
    if (value === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, value)
    return value
  }

  set(key: string, value: V): void {
    if (this.limit <= 0) return
    this.#entries.delete(key)
    this.#entries.set(key, value)
    while (this.#entries.size > this.limit) {
      this.#entries.delete(this.#entries.keys().next().value as string)
    }
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }
}
