/** Reading the vectors in test/vectors, which the Rust codecs are tested with as well. */

import { readFileSync } from 'node:fs'

/** The fields of each line of test/vectors/NAME, comments left out. */
export function readVectors(name: string): string[][] {
  const file = new URL(`../../../test/vectors/${name}`, import.meta.url)
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(' '))
}

/** Bytes of a hex field; '-' and '' are none. */
export function fromHex(text: string | undefined): Buffer {
  return Buffer.from(text === undefined || text === '-' || text === '""' ? '' : text, 'hex')
}

export function toHex(bytes: Uint8Array): string {
  return bytes.length === 0 ? '-' : Buffer.from(bytes).toString('hex')
}
