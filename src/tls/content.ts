/** Reading files of TLS, and what is told where a file holds something else than PEM. */

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { PemBlock } from '../codec/pem.js'

/** Something that is wrong with one file. */
export interface Fault {
  /** Absolute path. */
  readonly file: string
  /** What is wrong and what was expected: 'holds no certificate; ...'. */
  readonly message: string
}

export type Read<T> = { readonly value: T } | { readonly faults: readonly Fault[] }

/** The bytes of a file with a hash that tells whether they have changed. */
export interface FileContent {
  readonly file: string
  readonly bytes: Buffer
  readonly hash: string
}

export async function readContent(file: string): Promise<Read<FileContent>> {
  try {
    const bytes = await readFile(file)
    return { value: { file, bytes, hash: createHash('sha256').update(bytes).digest('hex') } }
  } catch (error) {
    return { faults: [{ file, message: describeFailure(error as NodeJS.ErrnoException) }] }
  }
}

export function describeFailure(error: NodeJS.ErrnoException, kind = 'file'): string {
  switch (error.code) {
    case 'ENOENT':
      return `no such ${kind}.`
    case 'EACCES':
      return 'may not be read by this user (EACCES).'
    case 'EISDIR':
      return 'is a folder; expected a file.'
    case 'ENOTDIR':
      return `no such ${kind}: a part of its path is no folder.`
    default:
      return `cannot be read: ${error.message}.`
  }
}

/** What a file without a wanted block holds instead: "is empty", "is binary (...)". */
export function describeContent(bytes: Buffer, blocks: readonly PemBlock[]): string {
  if (bytes.length === 0) return 'is empty'
  if (blocks.length > 0) {
    const labels = [...new Set(blocks.map(({ label }) => label))]
    return `holds only ${labels.join(' and ')}`
  }
  if (/^-----BEGIN /m.test(bytes.toString('latin1')))
    return 'is cut short: a BEGIN line has no END line'
  // DER and PKCS#12 begin with a SEQUENCE.
  if (bytes[0] === 0x30 && (bytes[1] ?? 0) >= 0x80) return 'is binary (DER or PKCS#12), not PEM'
  return 'is not PEM'
}
