/** A binary heap whose items know their place, so that any of them can leave in O(log n). */

export interface HeapItem {
  /** Index in the heap that holds the item; -1 while none does. Owned by the heap. */
  heapIndex: number
}

export class IndexedHeap<T extends HeapItem> {
  readonly #items: T[] = []
  readonly #before: (a: T, b: T) => boolean

  /** `before(a, b)`: whether a leaves the heap before b. Must be a strict order. */
  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before
  }

  get size(): number {
    return this.#items.length
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  /** Every item as of now, the first to leave first, the rest in no order. */
  items(): readonly T[] {
    return [...this.#items]
  }

  /** Precondition: the item is in no heap. */
  push(item: T): void {
    item.heapIndex = this.#items.length
    this.#items.push(item)
    this.#up(item.heapIndex)
  }

  /** Precondition: the item is in this heap. */
  remove(item: T): void {
    const items = this.#items
    const at = item.heapIndex
    const last = items.pop() as T
    item.heapIndex = -1
    if (last === item) return
    items[at] = last
    last.heapIndex = at
    this.#up(at)
    this.#down(last.heapIndex)
  }

  #up(start: number): void {
    const items = this.#items
    let at = start
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#before(items[at] as T, items[parent] as T)) return
      this.#swap(at, parent)
      at = parent
    }
  }

  #down(start: number): void {
    const items = this.#items
    let at = start
    for (;;) {
      let least = at
      for (let child = 2 * at + 1; child <= 2 * at + 2 && child < items.length; child++) {
        if (this.#before(items[child] as T, items[least] as T)) least = child
      }
      if (least === at) return
      this.#swap(at, least)
      at = least
    }
  }

  #swap(a: number, b: number): void {
    const items = this.#items
    const left = items[a] as T
    const right = items[b] as T
    items[a] = right
    items[b] = left
    right.heapIndex = a
    left.heapIndex = b
  }
}
