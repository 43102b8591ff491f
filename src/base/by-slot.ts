/**
 * Values by slot of the connection table. The table is as long as there may be
 * connections, and mostly unused: memory is taken a page of slots at a time,
 * where connections are.
 */

const PAGE_BITS = 10
const PAGE = 1 << PAGE_BITS

export class BySlot<T> {
  readonly #pages: ((T | undefined)[] | undefined)[]

  /** `slots`: how many there are. */
  constructor(slots: number) {
    this.#pages = new Array<undefined>(Math.ceil(slots / PAGE)).fill(undefined)
  }

  /** `undefined` also where there is no such slot. */
  get(slot: number): T | undefined {
    return this.#pages[slot >> PAGE_BITS]?.[slot & (PAGE - 1)]
  }

  /** Precondition: `slot` is a slot. */
  set(slot: number, value: T): void {
    let page = this.#pages[slot >> PAGE_BITS]
    if (!page) {
      page = new Array<T | undefined>(PAGE).fill(undefined)
      this.#pages[slot >> PAGE_BITS] = page
    }
    page[slot & (PAGE - 1)] = value
  }

  delete(slot: number): void {
    const page = this.#pages[slot >> PAGE_BITS]
    if (page) page[slot & (PAGE - 1)] = undefined
  }

  /** In the order of slots. What is set or deleted meanwhile may be missed. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (const page of this.#pages) {
      if (!page) continue
      for (const value of page) if (value !== undefined) yield value
    }
  }
}
