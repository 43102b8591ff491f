/** A chain and its key, read from PEM files and checked against each other. */

import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { isCertificate, isKey, type PemBlock, pemBlocks } from '../codec/pem.js'
import { altNames } from '../codec/tls.js'
import type { CertificateFiles } from '../config/resolved.js'
import { describeContent, type Fault, type FileContent, type Read, readContent } from './content.js'
import { type OcspResponse, plainHex, readOcsp } from './status.js'

/** Where a certificate comes from. */
export interface CertificateSource extends CertificateFiles {
  /** Stays the same while the content changes. */
  readonly id: string
  /** Found in a folder, not named: the OCSP response may be missing. */
  readonly inFolder: boolean
}

export type KeyType = 'rsa' | 'ecdsa' | 'ed25519'

export interface Certificate {
  readonly source: CertificateSource
  /** PEM, without anything that is no certificate. */
  readonly chain: string
  readonly key: KeyObject
  readonly ocsp: Uint8Array | undefined
  /** DNS names, lower case; the common name where there is none. */
  readonly names: readonly string[]
  readonly keyType: KeyType
  readonly notBefore: Date
  readonly notAfter: Date
  /** SHA-256 of the DER in lower-case hexadecimal. */
  readonly fingerprint: string
  readonly ocspStatus: OcspResponse | undefined
  /** What is not good, and works. */
  readonly warnings: readonly Fault[]
  /** Hash of each file's content. */
  readonly hashes: ReadonlyMap<string, string>
  /** Hash of everything. */
  readonly hash: string
}

const DAY = 86_400_000
const curves = ['prime256v1', 'secp384r1', 'secp521r1']

/** A configured certificate, with files of its own. */
export function sourceOf(files: CertificateFiles): CertificateSource {
  const id = [files.cert, files.key, files.ocsp ?? ''].join('\n')
  return { ...files, id, inFolder: false }
}

/**
 * Reads and checks. The faults are all there is to tell about the files. `old` is the answer
 * where it was made from the same bytes: parsing costs far more than reading.
 */
export async function readCertificate(
  source: CertificateSource,
  old?: Certificate,
): Promise<Read<Certificate>> {
  const { cert, key, ocsp } = source
  const paths = [...new Set([cert, key, ...(ocsp === undefined ? [] : [ocsp])])]
  const contents = new Map<string, FileContent>()
  const faults: Fault[] = []
  for (const path of paths) {
    const read = await readContent(path)
    if ('value' in read) contents.set(path, read.value)
    else if (path !== ocsp || !source.inFolder) faults.push(...read.faults)
  }
  if (faults.length > 0) return { faults }
  if (old?.hash === hashOf(contents)) return { value: old }
  return parse(source, contents)
}

/** Whole days until it expires, negative once it has. `now`: ms since 1970. */
export function daysLeft({ notAfter }: Pick<Certificate, 'notAfter'>, now: number): number {
  return Math.floor((notAfter.getTime() - now) / DAY)
}

/** Why it is not valid now; undefined where it is. */
export function describeValidity(
  { notBefore, notAfter }: Pick<Certificate, 'notBefore' | 'notAfter'>,
  now: number,
): string | undefined {
  if (now > notAfter.getTime()) return `has expired, on ${dateText(notAfter)}.`
  if (now < notBefore.getTime()) return `is not valid yet: from ${dateText(notBefore)} on.`
  return undefined
}

/** What is wrong with the response that is stapled; undefined where nothing is. */
export function describeOcsp(
  { ocspStatus }: Pick<Certificate, 'ocspStatus'>,
  now: number,
): string | undefined {
  const { revoked, nextUpdate } = ocspStatus ?? {}
  if (revoked) return 'says that the certificate is revoked.'
  if (!nextUpdate || now <= nextUpdate.getTime()) return undefined
  return `has expired, on ${dateText(nextUpdate)}; clients may refuse the certificate because of it.`
}

export function dateText(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

function parse(
  source: CertificateSource,
  contents: ReadonlyMap<string, FileContent>,
): Read<Certificate> {
  const faults: Fault[] = []
  const certContent = contents.get(source.cert) as FileContent
  const keyContent = contents.get(source.key) as FileContent
  const ocspContent = source.ocsp === undefined ? undefined : contents.get(source.ocsp)
  const chain = readChain(certContent, faults)
  const key = readKey(keyContent, source, faults)
  const leaf = chain[0]
  const ocsp = ocspContent && checkOcsp(ocspContent, leaf, faults)
  if (leaf && key && chain.length > 0) checkPair(source, chain, key, faults)
  if (chain.length > 0 && faults.length === 0) checkOrder(source, chain, faults)
  const keyType = key && keyTypeOf(key)
  if (faults.length > 0 || !leaf || !key || !keyType) return { faults }
  return {
    value: {
      source,
      chain: chain.map((one) => one.toString()).join(''),
      key,
      ocsp: ocspContent?.bytes,
      names: namesOf(leaf),
      keyType,
      notBefore: new Date(leaf.validFrom),
      notAfter: new Date(leaf.validTo),
      fingerprint: leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
      warnings: weaknesses(source.cert, chain),
      ocspStatus: ocsp,
      hashes: new Map([...contents.values()].map(({ file, hash }) => [file, hash])),
      hash: hashOf(contents),
    },
  }
}

/** Equal for the same bytes in the same places. */
function hashOf(contents: ReadonlyMap<string, FileContent>): string {
  return [...contents.values()].map(({ hash }) => hash).join('-')
}

function readChain({ file, bytes }: FileContent, faults: Fault[]): X509Certificate[] {
  const blocks = pemBlocks(bytes.toString('latin1'))
  const found = blocks.filter(isCertificate)
  if (found.length === 0) {
    const what = describeContent(bytes, blocks)
    faults.push({ file, message: `${what}; expected a certificate and its issuers in PEM.` })
  }
  return parseCertificates(file, found, faults)
}

/** Each certificate, or a fault. */
export function parseCertificates(
  file: string,
  blocks: readonly PemBlock[],
  faults: Fault[],
): X509Certificate[] {
  return blocks.flatMap(({ text }, i) => {
    try {
      return [new X509Certificate(text)]
    } catch (error) {
      const which =
        blocks.length === 1 ? 'its certificate' : `certificate ${i + 1} of ${blocks.length}`
      faults.push({ file, message: `${which} cannot be read: ${messageOf(error)}.` })
      return []
    }
  })
}

function readKey(
  { file, bytes }: FileContent,
  source: CertificateSource,
  faults: Fault[],
): KeyObject | undefined {
  const blocks = pemBlocks(bytes.toString('latin1'))
  const keys = blocks.filter(isKey)
  const [block, second] = keys
  const fail = (message: string) => {
    // The chain's file tells itself what it is.
    if (file !== source.cert || blocks.some(isCertificate)) faults.push({ file, message })
    return undefined
  }
  if (!block) {
    const hint = file === source.cert ? ", or the name of its file as 'key'" : ''
    return fail(`${describeContent(bytes, blocks)}; expected a private key in PEM${hint}.`)
  }
  if (second) return fail(`holds ${keys.length} private keys; expected one.`)
  if (block.label.startsWith('ENCRYPTED') || block.text.includes('Proc-Type: 4,ENCRYPTED')) {
    const command = `openssl pkey -in ${file} -out plain.key`
    return fail(`its private key is encrypted; expected one without a password: '${command}'.`)
  }
  let key: KeyObject
  try {
    key = createPrivateKey(block.text)
  } catch (error) {
    return fail(`its private key cannot be read: ${messageOf(error)}.`)
  }
  if (keyTypeOf(key)) return key
  return fail(
    `its private key is ${describeKey(key)}; expected RSA, P-256, P-384, P-521 or Ed25519.`,
  )
}

function keyTypeOf(key: KeyObject): KeyType | undefined {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return 'rsa'
    case 'ed25519':
      return 'ed25519'
    case 'ec':
      return curves.includes(key.asymmetricKeyDetails?.namedCurve ?? '') ? 'ecdsa' : undefined
    default:
      return undefined
  }
}

function describeKey(key: KeyObject): string {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {}
  const kind = (key.asymmetricKeyType ?? 'unknown').toUpperCase()
  if (namedCurve) return `${kind} ${namedCurve}`
  return modulusLength ? `${kind} of ${modulusLength} bits` : kind
}

/** The first certificate is the key's. */
function checkPair(
  { cert, key: keyFile }: CertificateSource,
  chain: readonly X509Certificate[],
  key: KeyObject,
  faults: Fault[],
): void {
  const at = chain.findIndex((one) => one.checkPrivateKey(key))
  if (at === 0) return
  const leaf = chain[0] as X509Certificate
  if (at > 0) {
    const message = `certificate ${at + 1} (${nameOf(chain[at] as X509Certificate)}) is the one of the key and must come first; now ${nameOf(leaf)} does. Swap them.`
    faults.push({ file: cert, message })
    return
  }
  const theirs = describeKey(leaf.publicKey)
  const own = describeKey(createPublicKey(key))
  const difference =
    theirs === own ? `both are ${own}` : `the key is ${own}, the certificate's ${theirs}`
  const where = keyFile === cert ? 'the certificate before it' : `the certificate in ${cert}`
  faults.push({
    file: keyFile,
    message: `its private key does not match ${where} (${nameOf(leaf)}): ${difference}.`,
  })
}

/** Each certificate is issued by the next one (RFC 5246 section 7.4.2). */
function checkOrder(
  { cert }: CertificateSource,
  chain: readonly X509Certificate[],
  faults: Fault[],
): void {
  for (const [i, one] of chain.entries()) {
    const next = chain[i + 1]
    if (!next || one.checkIssued(next)) continue
    const issuer = chain.findIndex((other) => other !== one && one.checkIssued(other))
    const what = `certificate ${i + 2} (${nameOf(next)}) has not issued certificate ${i + 1} (${nameOf(one)})`
    const fix =
      issuer >= 0
        ? `certificate ${issuer + 1} (${nameOf(chain[issuer] as X509Certificate)}) has: swap ${i + 2} and ${issuer + 1}`
        : `expected its issuer (${oneLine(one.issuer)}), or nothing`
    faults.push({ file: cert, message: `is out of order: ${what}; ${fix}.` })
    return
  }
}

/** The response is for the certificate. */
function checkOcsp(
  { file, bytes }: FileContent,
  leaf: X509Certificate | undefined,
  faults: Fault[],
): OcspResponse | undefined {
  const response = readOcsp(bytes)
  const fail = (message: string) => void faults.push({ file, message })
  if (!response) {
    const what = bytes.length === 0 ? 'is empty' : 'is no OCSP response'
    fail(`${what}; expected one in DER, as 'openssl ocsp -respout' writes it.`)
  } else if (response.status !== 0) {
    fail(`is an OCSP response that says error ${response.status}, not a certificate's status.`)
  } else if (leaf && response.serialNumber !== plainHex(leaf.serialNumber)) {
    fail(`is an OCSP response for another certificate than ${nameOf(leaf)}.`)
  }
  return response
}

/** DNS names of the alternative names (RFC 6125 section 6.4.4: the common name counts only without them). */
function namesOf(certificate: X509Certificate): string[] {
  const names = altNames(certificate.subjectAltName).flatMap((name) =>
    name.startsWith('DNS:') ? [name.slice(4).toLowerCase()] : [],
  )
  if (names.length > 0) return [...new Set(names)]
  const commonName = /(?:^|\n)CN=(.+)/.exec(certificate.subject)?.[1]?.toLowerCase()
  return commonName && /^(\*\.)?[a-z0-9_.-]+$/.test(commonName) ? [commonName] : []
}

function weaknesses(file: string, chain: readonly X509Certificate[]): Fault[] {
  return chain.flatMap((one, i) => {
    const bits = one.publicKey.asymmetricKeyDetails?.modulusLength
    if (one.publicKey.asymmetricKeyType !== 'rsa' || bits === undefined || bits >= 2048) return []
    const which = `certificate ${i + 1} (${nameOf(one)})`
    return [{ file, message: `${which} has an RSA key of ${bits} bits; many peers want 2048.` }]
  })
}

function nameOf(certificate: X509Certificate): string {
  return oneLine(certificate.subject || certificate.subjectAltName || 'without a name')
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ',')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
