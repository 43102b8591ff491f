/**
 * Sets of IP addresses as sorted ranges that do not overlap: small, and found by
 * binary search without allocating.
 */

/** Ranges of 32-bit addresses, bounds included. */
export class Ipv4Ranges {
  readonly #starts: Uint32Array
  readonly #ends: Uint32Array

  /** @param blocks Network and prefix length, one after the other: [0x0a000000, 8, ...]. Host bits are zero. */
  constructor(blocks: readonly number[]) {
    // Sorted by network, then the wider block first; both fit one exact double.
    const sorted = new Float64Array(blocks.length / 2)
    for (let i = 0; i < sorted.length; i++) {
      sorted[i] = (blocks[i * 2] as number) * 64 + (blocks[i * 2 + 1] as number)
    }
    sorted.sort()
    const starts = new Uint32Array(sorted.length)
    const ends = new Uint32Array(sorted.length)
    let count = 0
    for (const block of sorted) {
      const start = Math.floor(block / 64)
      const end = start + 2 ** (32 - (block % 64)) - 1
      const last = count > 0 ? (ends[count - 1] as number) : -2
      // Blocks either nest or are apart, so only one that begins right behind the last extends it.
      if (end <= last) continue
      if (start === last + 1) ends[count - 1] = end
      else {
        starts[count] = start
        ends[count++] = end
      }
    }
    this.#starts = starts.slice(0, count)
    this.#ends = ends.slice(0, count)
  }

  /** Number of ranges. */
  get count(): number {
    return this.#starts.length
  }

  has(address: number): boolean {
    const starts = this.#starts
    let low = 0
    let high = starts.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((starts[middle] as number) <= address) low = middle + 1
      else high = middle
    }
    return low > 0 && (this.#ends[low - 1] as number) >= address
  }
}

/** Ranges of 128-bit addresses, four words each, most significant first, bounds included. */
export class Ipv6Ranges {
  readonly #starts: Uint32Array
  readonly #ends: Uint32Array

  /** @param blocks Four words of the network and the prefix length, five numbers a block. Host bits are zero. */
  constructor(blocks: readonly number[]) {
    const order = Array.from({ length: blocks.length / 5 }, (_, i) => i * 5)
    order.sort((a, b) => {
      for (let i = 0; i < 5; i++) {
        const difference = (blocks[a + i] as number) - (blocks[b + i] as number)
        if (difference !== 0) return difference
      }
      return 0
    })
    const starts = new Uint32Array(order.length * 4)
    const ends = new Uint32Array(order.length * 4)
    const start = new Uint32Array(4)
    let count = 0
    for (const block of order) {
      for (let i = 0; i < 4; i++) start[i] = blocks[block + i] as number
      if (count > 0 && compare(ends, (count - 1) * 4, start, 0) >= 0) continue
      const prefix = blocks[block + 4] as number
      starts.set(start, count * 4)
      for (let i = 0; i < 4; i++)
        ends[count * 4 + i] = (start[i] as number) | hostMask(prefix - i * 32)
      count++
    }
    this.#starts = starts.slice(0, count * 4)
    this.#ends = ends.slice(0, count * 4)
  }

  /** Number of ranges. */
  get count(): number {
    return this.#starts.length / 4
  }

  /** Precondition: `address` holds four words. */
  has(address: Uint32Array): boolean {
    const starts = this.#starts
    let low = 0
    let high = starts.length >>> 2
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compare(starts, middle * 4, address, 0) <= 0) low = middle + 1
      else high = middle
    }
    return low > 0 && compare(this.#ends, (low - 1) * 4, address, 0) >= 0
  }
}

/** The host bits of one word, of which the prefix takes the first `prefix` bits (any number; 32 and more are all). */
export function hostMask(prefix: number): number {
  if (prefix <= 0) return 0xffff_ffff
  return prefix >= 32 ? 0 : 0xffff_ffff >>> prefix
}

function compare(a: Uint32Array, at: number, b: Uint32Array, bt: number): number {
  for (let i = 0; i < 4; i++) {
    const left = a[at + i] as number
    const right = b[bt + i] as number
    if (left !== right) return left < right ? -1 : 1
  }
  return 0
}
