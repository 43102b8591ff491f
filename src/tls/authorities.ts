/** Whom peers' certificates are verified against: authorities and revocation lists. */

import type { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as tls from 'node:tls'
import { SluiceError } from '../base/errors.js'
import { isCertificate, isRevocationList, type PemBlock, pemBlocks } from '../codec/pem.js'
import { dateText, parseCertificates } from './certificates.js'
import { describeContent, type Fault, type FileContent, type Read, readContent } from './content.js'
import { nextUpdateOf } from './status.js'

/** PEM of several files. */
export interface TrustText {
  readonly pem: string
  readonly hash: string
  readonly hashes: ReadonlyMap<string, string>
  readonly warnings: readonly Fault[]
  /** Of revocation lists. */
  readonly dueDates: readonly DueDate[]
}

/** When the next revocation list is due. */
export interface DueDate {
  readonly file: string
  readonly nextUpdate: Date
}

export const NO_TRUST: TrustText = {
  pem: '',
  hash: '',
  hashes: new Map(),
  warnings: [],
  dueDates: [],
}

/**
 * Authorities: at least one certificate a file. `now`: ms since 1970. `old` is the answer where
 * it was made from the same bytes.
 */
export function readAuthorities(
  files: readonly string[],
  now: number,
  old?: TrustText,
): Promise<Read<TrustText>> {
  return readAll(files, 'certificates of authorities', isCertificate, old, (file, blocks, into) => {
    for (const one of parseCertificates(file, blocks, into.faults)) {
      if (new Date(one.validTo).getTime() < now) into.warnings.push(expired(file, one))
    }
  })
}

/** Revocation lists: at least one a file. `old` as for authorities. */
export function readRevocations(
  files: readonly string[],
  old?: TrustText,
): Promise<Read<TrustText>> {
  return readAll(files, 'revocation lists', isRevocationList, old, (file, blocks, into) => {
    for (const { text } of blocks) {
      const nextUpdate = nextUpdateOf(text)
      if (nextUpdate) into.dueDates.push({ file, nextUpdate })
    }
  })
}

async function readAll(
  files: readonly string[],
  expected: string,
  wanted: (block: PemBlock) => boolean,
  old: TrustText | undefined,
  check: (
    file: string,
    blocks: readonly PemBlock[],
    into: { faults: Fault[]; warnings: Fault[]; dueDates: DueDate[] },
  ) => void,
): Promise<Read<TrustText>> {
  const into = { faults: [] as Fault[], warnings: [] as Fault[], dueDates: [] as DueDate[] }
  const contents: FileContent[] = []
  for (const path of files) {
    const read = await readContent(path)
    if ('value' in read) contents.push(read.value)
    else into.faults.push(...read.faults)
  }
  const hash = contents.map((one) => one.hash).join('-')
  if (old?.hash === hash && into.faults.length === 0) return { value: old }
  const hashes = new Map(contents.map((one) => [one.file, one.hash]))
  let pem = ''
  for (const { file, bytes } of contents) {
    const blocks = pemBlocks(bytes.toString('latin1'))
    const found = blocks.filter(wanted)
    if (found.length === 0) {
      const message = `${describeContent(bytes, blocks)}; expected ${expected} in PEM.`
      into.faults.push({ file, message })
    }
    check(file, found, into)
    pem += found.map(({ text }) => `${text}\n`).join('')
  }
  const { faults, ...rest } = into
  if (faults.length > 0) return { faults }
  return { value: { pem, hash, hashes, ...rest } }
}

/** Lists whose successor is overdue: who is on them is not the question any more. */
export function overdueLists({ dueDates }: TrustText, now: number): Fault[] {
  return dueDates.flatMap(({ file, nextUpdate }) => {
    if (now <= nextUpdate.getTime()) return []
    const date = dateText(nextUpdate)
    const message = `a revocation list has expired, on ${date}: certificates of its issuer are refused.`
    return [{ file, message }]
  })
}

function expired(file: string, authority: X509Certificate): Fault {
  const name = authority.subject.replaceAll('\n', ',')
  const message = `the authority ${name} has expired, on ${dateText(new Date(authority.validTo))}.`
  return { file, message }
}

/** Where distributions keep the bundle: Debian, Fedora, OpenSUSE, Alpine and the BSDs. */
const bundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

let system: string | undefined

/**
 * The authorities of the system in PEM, read once: SSL_CERT_FILE where it is set, Node's own
 * look-up (Node 22.15), the bundles of distributions, and at last those that Node brings along.
 * Throws a SluiceError (ERR_SLUICE_TLS) where SSL_CERT_FILE cannot be used.
 */
export function systemAuthorities(): string {
  system ??= findSystemAuthorities(process.env)
  return system
}

/** Without the memory of `systemAuthorities`. */
export function findSystemAuthorities(env: NodeJS.ProcessEnv): string {
  const named = env.SSL_CERT_FILE
  if (named) return readNamed(named)
  const { getCACertificates } = tls as { getCACertificates?: (type: string) => string[] }
  const found = getCACertificates?.('system') ?? []
  if (found.length > 0) return found.join('\n')
  for (const file of bundles) {
    try {
      const text = readFileSync(file, 'latin1')
      if (pemBlocks(text).some(isCertificate)) return text
    } catch {
      // Another distribution.
    }
  }
  return tls.rootCertificates.join('\n')
}

function readNamed(file: string): string {
  let why: string
  try {
    const bytes = readFileSync(file)
    const text = bytes.toString('latin1')
    const blocks = pemBlocks(text)
    if (blocks.some(isCertificate)) return text
    why = `${describeContent(bytes, blocks)}; expected certificates of authorities in PEM.`
  } catch (error) {
    why = `cannot be read: ${(error as Error).message}.`
  }
  throw new SluiceError('ERR_SLUICE_TLS', `SSL_CERT_FILE: ${file}: ${why}`)
}
