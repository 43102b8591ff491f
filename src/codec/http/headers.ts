/**
 * The fields of a head as a policy reads and changes them: the methods of the standard's Headers,
 * over the head as the engine has it. What is read makes a string; what is changed becomes edits.
 */

import type { Edit } from './edits.js'
import type { HeadFacts } from './facts.js'
import { trim } from './grammar.js'

/** Values by name in lower case, in the place of those that were sent. */
type Changes = Map<string, string[]>

export class HeadHeaders implements Iterable<[string, string]> {
  readonly #facts: HeadFacts
  #changes: Changes | undefined = undefined

  constructor(facts: HeadFacts) {
    this.#facts = facts
  }

  /** Values of a name joined by ', ' (cookies by '; '), null where there is none. */
  get(name: string): string | null {
    const lower = name.toLowerCase()
    const values = this.#values(lower)
    if (values.length === 0) return null
    return values.join(lower === 'cookie' ? '; ' : ', ')
  }

  /** Each value of a name by itself. */
  getAll(name: string): string[] {
    return [...this.#values(name.toLowerCase())]
  }

  getSetCookie(): string[] {
    return this.getAll('set-cookie')
  }

  has(name: string): boolean {
    return this.#values(name.toLowerCase()).length > 0
  }

  /** Blanks at the ends of a value are none of it. */
  set(name: string, value: string): void {
    this.#changed().set(name.toLowerCase(), [trim(String(value))])
  }

  append(name: string, value: string): void {
    const lower = name.toLowerCase()
    this.#changed().set(lower, [...this.#values(lower), trim(String(value))])
  }

  delete(name: string): void {
    this.#changed().set(name.toLowerCase(), [])
  }

  *entries(): IterableIterator<[string, string]> {
    for (const name of this.#names()) {
      if (name === 'set-cookie') {
        for (const value of this.#values(name)) yield [name, value]
      } else {
        const value = this.get(name)
        if (value !== null) yield [name, value]
      }
    }
  }

  *keys(): IterableIterator<string> {
    for (const [name] of this.entries()) yield name
  }

  *values(): IterableIterator<string> {
    for (const [, value] of this.entries()) yield value
  }

  forEach(run: (value: string, name: string, headers: this) => void): void {
    for (const [name, value] of this.entries()) run(value, name, this)
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries()
  }

  /** The changes as edits, as few as there are: what has its old value is left alone. */
  edits(): Edit[] {
    const edits: Edit[] = []
    for (const [name, values] of this.#changes ?? []) {
      const places = this.#facts.placesOf(name)
      for (const [i, index] of places.entries()) {
        const value = values[i]
        if (value === undefined) edits.push({ kind: 'remove', index })
        else if (value !== this.#facts.valueOf(index)) edits.push({ kind: 'replace', index, value })
      }
      for (const value of values.slice(places.length)) edits.push({ kind: 'add', name, value })
    }
    return edits
  }

  #values(name: string): readonly string[] {
    const changed = this.#changes?.get(name)
    return changed ?? this.#facts.placesOf(name).map((place) => this.#facts.valueOf(place))
  }

  /** In lower case, sorted, each once, as the standard's iterators give them. */
  #names(): string[] {
    const names = new Set<string>()
    for (let i = 0; i < this.#facts.count; i++) {
      if (!this.#facts.isHop(i)) names.add(this.#facts.nameOf(i).toLowerCase())
    }
    for (const name of this.#changes?.keys() ?? []) names.add(name)
    return [...names].sort()
  }

  #changed(): Changes {
    this.#changes ??= new Map()
    return this.#changes
  }
}
