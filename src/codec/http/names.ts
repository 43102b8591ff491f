/** Names of fields that are known by number. */

import { HttpName, HttpNameLabels } from '../../wire/wire.js'

const numbers = new Map<string, number>(
  Object.values(HttpName).map((number) => [HttpNameLabels[number] as string, number]),
)

/** HttpName of a name in lower case; 0 for any other. */
export function nameNumber(name: string): number {
  return numbers.get(name) ?? 0
}

/** The name of a number; '' for 0. */
export function nameText(number: number): string {
  return number === 0 ? '' : (HttpNameLabels[number] as string)
}

const hopByHop = new Set<number>([
  HttpName.TRANSFER_ENCODING,
  HttpName.CONNECTION,
  HttpName.KEEP_ALIVE,
  HttpName.PROXY_CONNECTION,
  HttpName.TE,
  HttpName.TRAILER,
  HttpName.UPGRADE,
  HttpName.HTTP2_SETTINGS,
])

/** Of one connection, whether or not Connection names it (RFC 9110 7.6.1). */
export function isHopByHop(number: number): boolean {
  return hopByHop.has(number)
}

/** Framing and the connection itself: the engine writes them, nobody else. */
export function isReserved(number: number): boolean {
  return isHopByHop(number) || number === HttpName.CONTENT_LENGTH || number === HttpName.EXPECT
}
