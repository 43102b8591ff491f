/** A queue of items that hold each other: an idle applet has no array for who waits. */

export interface FifoItem<T> {
  /** Owned by the queue. */
  next: T | undefined
}

export class Fifo<T extends FifoItem<T>> {
  #first: T | undefined
  #last: T | undefined

  get first(): T | undefined {
    return this.#first
  }

  /** Precondition: the item is in no queue. */
  push(item: T): void {
    if (this.#last === undefined) this.#first = item
    else this.#last.next = item
    this.#last = item
  }

  shift(): T | undefined {
    const item = this.#first
    if (item === undefined) return undefined
    this.#first = item.next
    if (item.next === undefined) this.#last = undefined
    item.next = undefined
    return item
  }
}
