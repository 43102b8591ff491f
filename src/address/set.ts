/** A set of IP addresses, both families, built from CIDR blocks. */

import { parseAddress } from './parse.js'
import { hostMask, Ipv4Ranges, Ipv6Ranges } from './ranges.js'

/** A CIDR block or a single address: '10.0.0.0/8', '::1'. */
export type Cidr = string

const EXPECTED = "expected a CIDR block or an address such as '10.0.0.0/8' or '2001:db8::/32'"

/** Blocks on their way to becoming a set. */
export class CidrBlocks {
  size = 0
  readonly ipv4: number[] = []
  readonly ipv6: number[] = []
  readonly #words = new Uint32Array(4)

  /**
   * Adds a block or a single address: the one grammar of them, for configurations, rules and
   * files. Host bits are ignored, as in HAProxy. A block of IPv4-mapped addresses is its IPv4
   * block: '::ffff:10.0.0.0/104' is 10.0.0.0/8.
   * @returns What was expected, where it is neither; nothing was added then.
   */
  add(cidr: string): string | undefined {
    const slash = cidr.indexOf('/')
    const address = slash < 0 ? cidr : cidr.slice(0, slash)
    const family = parseAddress(address, this.#words)
    if (family === 0) return wrong(cidr)
    const scope = address.indexOf('%')
    if (scope >= 0) {
      const bare = address.slice(0, scope) + (slash < 0 ? '' : cidr.slice(slash))
      return wrong(cidr, `addresses are compared without their scope, write '${bare}'`)
    }
    const mapped = family === 4 && address.includes(':')
    const longest = family === 4 && !mapped ? 32 : 128
    const suffix = slash < 0 ? String(longest) : cidr.slice(slash + 1)
    const length = /^(0|[1-9]\d{0,2})$/.test(suffix) ? Number(suffix) : Number.NaN
    // Wider than the mapped addresses: what does not map has no such text, so it is a mistake.
    const shortest = mapped ? 96 : 0
    if (!(length >= shortest && length <= longest)) {
      const what = mapped ? 'IPv4-mapped addresses' : family === 4 ? 'IPv4' : 'IPv6'
      const hint = hintOf(suffix, address, longest)
      return wrong(cidr, `the prefix length of ${what} goes from ${shortest} to ${longest}${hint}`)
    }
    this.#push(family, length - shortest)
    this.size++
    return undefined
  }

  #push(family: 4 | 6, prefix: number): void {
    const words = this.#words
    if (family === 4) {
      this.ipv4.push(((words[0] as number) & ~hostMask(prefix)) >>> 0, prefix)
      return
    }
    for (let i = 0; i < 4; i++) {
      this.ipv6.push(((words[i] as number) & ~hostMask(prefix - i * 32)) >>> 0)
    }
    this.ipv6.push(prefix)
  }
}

function wrong(cidr: string, why?: string): string {
  const shown = cidr.length > 80 ? `${cidr.slice(0, 77)}...` : cidr
  return `${EXPECTED}, got '${shown}'${why === undefined ? '' : `: ${why}`}.`
}

/** What may have been meant by a prefix length that is none. */
function hintOf(suffix: string, address: string, longest: number): string {
  if (/^0\d/.test(suffix)) {
    const plain = Number(suffix)
    return `, without leading zeros${plain <= longest ? `: '${address}/${plain}'` : ''}`
  }
  const mask = new Uint32Array(4)
  if (longest !== 32 || parseAddress(suffix, mask) !== 4) return ''
  const bits = Math.clz32(~(mask[0] as number))
  // A netmask is ones, then zeros.
  return ((mask[0] as number) & hostMask(bits)) === 0 ? `: write '${address}/${bits}'` : ''
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
