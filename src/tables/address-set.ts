/** A set of IP addresses, both families, built from CIDR blocks. */

import { hostMask, Ipv4Ranges, Ipv6Ranges } from './address-ranges.js'
import { parseAddress } from './parse-address.js'

/** What `CidrBlocks.add` takes, for messages. */
export const EXPECTED_CIDR =
  'expected an IPv4 or IPv6 address with an optional prefix length, such as 10.0.0.0/8 or 2001:db8::/32'

/** Blocks on their way to becoming a set. */
export class CidrBlocks {
  size = 0
  readonly ipv4: number[] = []
  readonly ipv6: number[] = []
  readonly #words = new Uint32Array(4)

  /**
   * Adds a block or a single address. Host bits are ignored, as in HAProxy. A block of IPv4-mapped
   * addresses is its IPv4 block: '::ffff:10.0.0.0/104' is 10.0.0.0/8.
   * @returns False where it is neither, and nothing was added.
   */
  add(cidr: string): boolean {
    const slash = cidr.indexOf('/')
    const address = slash < 0 ? cidr : cidr.slice(0, slash)
    const family = address.includes('%') ? 0 : parseAddress(address, this.#words)
    if (family === 0) return false
    const mapped = family === 4 && address.includes(':')
    const longest = family === 4 && !mapped ? 32 : 128
    const suffix = slash < 0 ? String(longest) : cidr.slice(slash + 1)
    if (!/^(0|[1-9]\d{0,2})$/.test(suffix) || Number(suffix) > longest) return false
    const prefix = mapped ? Number(suffix) - 96 : Number(suffix)
    // Wider than the mapped addresses: what does not map has no such text, so it is a mistake.
    if (prefix < 0) return false
    const words = this.#words
    if (family === 4) {
      this.ipv4.push(((words[0] as number) & ~hostMask(prefix)) >>> 0, prefix)
    } else {
      for (let i = 0; i < 4; i++) {
        this.ipv6.push(((words[i] as number) & ~hostMask(prefix - i * 32)) >>> 0)
      }
      this.ipv6.push(prefix)
    }
    this.size++
    return true
  }
}

/** Immutable. */
export class AddressSet {
  /** Blocks as given, before merging. */
  readonly size: number
  readonly #ipv4: Ipv4Ranges
  readonly #ipv6: Ipv6Ranges
  readonly #words = new Uint32Array(4)

  constructor(blocks: CidrBlocks) {
    this.size = blocks.size
    this.#ipv4 = new Ipv4Ranges(blocks.ipv4)
    this.#ipv6 = new Ipv6Ranges(blocks.ipv6)
  }

  /** Bytes of memory that the ranges take. */
  get bytes(): number {
    return this.#ipv4.count * 8 + this.#ipv6.count * 32
  }

  /** Allocates nothing. False for what is no address. */
  has(address: string): boolean {
    const family = parseAddress(address, this.#words)
    if (family === 4) return this.#ipv4.has(this.#words[0] as number)
    return family === 6 && this.#ipv6.has(this.#words)
  }
}
