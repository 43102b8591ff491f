/** Reading test/vectors/http.txt, which crates/http is tested with as well. */

import { readFileSync } from 'node:fs'
import type { Asked } from '#sluice/codec/http.js'

/** What must come of it: what it means and what goes further, or why it is refused and at which byte. */
export type Expected = { facts: string; out: string } | { refused: string }

export interface HttpVector {
  name: string
  kind: 'request' | 'response' | 'chunks'
  asked: Asked
  bytes: Buffer
  expected: Expected
}

const SHORT: Record<string, string> = { r: '\r', n: '\n', t: '\t', '0': '\0', '\\': '\\' }

const text = readFileSync(new URL('../../../test/vectors/http.txt', import.meta.url), 'utf8')

const blocks = text
  .split('\n\n')
  .map((block) => block.split('\n').filter((line) => line !== '' && !line.startsWith('#')))
  .filter(([first]) => first !== undefined && !first.startsWith('status '))

export const vectors: readonly HttpVector[] = blocks.map((lines) => {
  const [kind, name = '', asked = 'plain'] = (lines[0] as string).split(' ')
  const all = (mark: string) =>
    lines.flatMap((line) => (line.startsWith(mark) ? [line.slice(mark.length)] : [])).join('')
  const refused = all('! ')
  return {
    name,
    kind: kind as HttpVector['kind'],
    asked: asked as Asked,
    bytes: fromEscaped(all('< ')),
    expected:
      refused === '' ? { facts: all('= '), out: toEscaped(fromEscaped(all('> '))) } : { refused },
  }
})

/** The status for each code. */
export const statuses: readonly (readonly [string, number])[] = text
  .split('\n')
  .filter((line) => line.startsWith('status '))
  .map((line) => line.split(' '))
  .map(([, code, status]) => [code as string, Number(status)])

/** Bytes of a text with \r \n \0 \t \\ \xNN. */
export function fromEscaped(escaped: string): Buffer {
  const plain = escaped.replace(/\\(?:x([0-9a-f]{2})|(.))/g, (_, hex?: string, short?: string) =>
    hex === undefined ? (SHORT[short as string] as string) : String.fromCharCode(parseInt(hex, 16)),
  )
  return Buffer.from(plain, 'latin1')
}

/** The other way round. */
export function toEscaped(bytes: Uint8Array): string {
  const names: Record<number, string> = { 13: '\\r', 10: '\\n', 9: '\\t', 92: '\\\\', 0: '\\0' }
  return Array.from(bytes, (byte) => {
    if (names[byte] !== undefined) return names[byte]
    const plain = byte >= 0x20 && byte < 0x7f
    return plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`
  }).join('')
}
