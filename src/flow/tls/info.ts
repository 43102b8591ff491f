/** What policies see of a TLS handshake that is complete, decoded when they ask. */

import { createHash, X509Certificate } from 'node:crypto'
import type { ClientHello } from '../../codec/tls.js'
import { altNames, cipherName, versionName } from '../../codec/tls.js'
import type { PeerCertificate, TlsInfo } from '../../policy/types.js'
import { TlsFlag } from '../../wire/wire.js'

export class SecuredInfo implements TlsInfo {
  readonly alpn: string
  readonly peerCertificate: PeerCertificate | undefined
  readonly #version: number
  readonly #cipher: number
  readonly #flags: number
  readonly #hello: ClientHello | undefined

  /**
   * `version`, `cipher`: as on the wire. `flags`: TlsFlag. `certificate`: the peer's in
   * DER, which is kept; empty for none. `hello`: what the client asked for; undefined on
   * the server's side.
   */
  constructor(
    version: number,
    cipher: number,
    flags: number,
    alpn: string,
    certificate: Uint8Array,
    hello: ClientHello | undefined,
  ) {
    this.#version = version
    this.#cipher = cipher
    this.#flags = flags
    this.alpn = alpn
    this.peerCertificate = certificate.length > 0 ? new DerCertificate(certificate) : undefined
    this.#hello = hello
  }

  get version(): string {
    return versionName(this.#version)
  }

  get cipher(): string {
    return cipherName(this.#cipher)
  }

  get serverName(): string {
    return this.#hello?.serverName ?? ''
  }

  get resumed(): boolean {
    return (this.#flags & TlsFlag.RESUMED) !== 0
  }

  get verified(): boolean {
    return (this.#flags & TlsFlag.VERIFIED) !== 0
  }

  get ja4(): string {
    return this.#hello?.ja4 ?? ''
  }
}

/** What is read out of a certificate. */
interface Decoded {
  readonly commonName: string
  readonly subject: string
  readonly issuer: string
  readonly altNames: readonly string[]
  readonly serialNumber: string
  readonly notBefore: number
  readonly notAfter: number
}

/** Of a certificate that OpenSSL cannot read. */
const UNREADABLE: Decoded = {
  commonName: '',
  subject: '',
  issuer: '',
  altNames: [],
  serialNumber: '',
  notBefore: Number.NaN,
  notAfter: Number.NaN,
}

/** A certificate in DER. A field that cannot be read is '', [] or an invalid date. */
export class DerCertificate implements PeerCertificate {
  readonly raw: Uint8Array
  #decoded: Decoded | undefined = undefined

  constructor(der: Uint8Array) {
    this.raw = der
  }

  get commonName(): string {
    return this.#fields().commonName
  }

  get subject(): string {
    return this.#fields().subject
  }

  get issuer(): string {
    return this.#fields().issuer
  }

  get altNames(): readonly string[] {
    return this.#fields().altNames
  }

  get serialNumber(): string {
    return this.#fields().serialNumber
  }

  get fingerprint(): string {
    return createHash('sha256').update(this.raw).digest('hex')
  }

  get notBefore(): Date {
    return new Date(this.#fields().notBefore)
  }

  get notAfter(): Date {
    return new Date(this.#fields().notAfter)
  }

  #fields(): Decoded {
    this.#decoded ??= decode(this.raw)
    return this.#decoded
  }
}

function decode(der: Uint8Array): Decoded {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(der)
  } catch {
    return UNREADABLE
  }
  const field = <T>(read: () => T, otherwise: T): T => {
    try {
      return read() ?? otherwise
    } catch {
      return otherwise
    }
  }
  return {
    commonName: field(() => commonName(certificate), ''),
    subject: field(() => distinguishedName(certificate.subject), ''),
    issuer: field(() => distinguishedName(certificate.issuer), ''),
    altNames: field(() => altNames(certificate.subjectAltName), []),
    serialNumber: field(() => certificate.serialNumber, ''),
    notBefore: field(() => Date.parse(certificate.validFrom), Number.NaN),
    notAfter: field(() => Date.parse(certificate.validTo), Number.NaN),
  }
}

/** The most specific one, where there are several. */
function commonName(certificate: X509Certificate): string {
  const { CN } = certificate.toLegacyObject().subject as { CN?: string | string[] }
  return (Array.isArray(CN) ? CN.at(-1) : CN) ?? ''
}

/**
 * From one attribute a line, the most general first, to RFC 2253: on one line, the most
 * specific first. Values are escaped already, line breaks and plus signs too.
 */
function distinguishedName(lines: string | undefined): string {
  return (lines ?? '').split('\n').reverse().join(',').replaceAll(' + ', '+')
}
