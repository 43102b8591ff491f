import { isIP } from 'node:net'

/**
 * The 4 or 16 bytes of an address by way of the WHATWG URL parser, which shares nothing with ours;
 * IPv4-mapped IPv6 as IPv4. Empty where `text` is no address.
 */
export function naiveBytes(text: string): number[] {
  const family = isIP(text)
  if (family === 0) return []
  if (family === 4) return text.split('.').map(Number)
  const host = new URL(`http://[${text.replace(/%.*/, '')}]`).hostname.slice(1, -1)
  const [left = [], right = []] = host
    .split('::')
    .map((half) => (half === '' ? [] : half.split(':')))
  const zeros = new Array<string>(8 - left.length - right.length).fill('0')
  const bytes = [...left, ...zeros, ...right].flatMap((group) => {
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 255]
  })
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255
  return mapped && bytes[11] === 255 ? bytes.slice(12) : bytes
}
