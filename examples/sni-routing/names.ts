/** A table of host names, some with a wildcard in front. */

export class NameTable<T> {
  readonly #exact = new Map<string, T>()
  /** By what follows the '*.'. */
  readonly #wildcards = new Map<string, T>()
  #other: T | undefined

  /**
   * Entries are 'www.example.com', '*.example.com' (any name below it, however
   * deep; not 'example.com' itself) or '*' (everything else).
   */
  constructor(entries: Record<string, T>) {
    for (const [pattern, value] of Object.entries(entries)) {
      const name = pattern.toLowerCase()
      if (name === '*') this.#other = value
      else if (name.startsWith('*.')) this.#wildcards.set(name.slice(2), value)
      else this.#exact.set(name, value)
    }
  }

  /** The exact entry, else the longest wildcard, else '*'. `name` is in lower case. */
  find(name: string): T | undefined {
    const exact = this.#exact.get(name)
    if (exact !== undefined) return exact
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
      const value = this.#wildcards.get(name.slice(dot + 1))
      if (value !== undefined) return value
    }
    return this.#other
  }
}
