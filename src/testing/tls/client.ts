/** What a client of the test engine does about TLS. */

import { CIPHER_SUITES, type ClientHello, cipherNumber, parseClientHello } from '../../codec/tls.js'
import type { DownstreamTlsSpec } from '../../engine/engine.js'
import { Code } from '../../wire/wire.js'
import { buildCertificate, type TestCertificate } from './certificate.js'
import { buildClientHello, type HelloOptions, recordsOf } from './hello.js'

/** A client that begins with a ClientHello. */
export interface TlsClientOptions extends HelloOptions {
  /**
   * What it sends instead of the ClientHello that the other options make: a
   * handshake message, or its records.
   */
  hello?: Uint8Array
  /**
   * What it sends in clear to ask for TLS; the ClientHello and the rest follow once the proxy
   * starts it. Default: nothing, it begins with the ClientHello.
   */
  clear?: string | Uint8Array
  /** Shown where it is asked for; as DER, or made. Default: none. */
  clientCert?: TestCertificate | Uint8Array
  /** The authorities that the bind trusts have not issued the certificate. Default false. */
  untrusted?: boolean
  /** It resumes a session. Default false. */
  resumed?: boolean
}

/** How a handshake ended: numbers as on the wire, or why it failed. */
export type Negotiated =
  | { readonly version: number; readonly cipher: number; readonly alpn: string }
  | { readonly code: number }

const NONE = new Uint8Array(0)
const HANDSHAKE_RECORD = 0x16

export class TlsClient {
  readonly resumed: boolean
  readonly certificate: Uint8Array
  readonly untrusted: boolean
  /** The first flight, in its records. */
  readonly records: Buffer

  constructor(options: TlsClientOptions) {
    const { hello = buildClientHello(options), clientCert = NONE } = options
    this.records = hello[0] === HANDSHAKE_RECORD ? Buffer.from(hello) : recordsOf(hello)
    this.certificate = clientCert instanceof Uint8Array ? clientCert : buildCertificate(clientCert)
    this.untrusted = options.untrusted ?? false
    this.resumed = options.resumed ?? false
  }
}

/** What server and client have in common, as the engines choose it. */
export function negotiate(
  spec: DownstreamTlsSpec,
  message: Uint8Array,
  client: TlsClient | undefined,
): Negotiated {
  const hello = parseClientHello(message)
  if (hello === undefined) return { code: Code.TLS_MALFORMED }
  const version = commonVersion(spec, hello)
  if (version === undefined) return { code: Code.TLS_VERSION }
  const cipher = commonCipher(spec, hello, version)
  if (cipher === undefined) return { code: Code.TLS_CIPHER }
  const alpn = spec.alpn.find((name) => hello.alpn.includes(name)) ?? ''
  if (alpn === '' && spec.alpn.length > 0 && hello.alpn.length > 0) return { code: Code.TLS_ALPN }
  const shown = client !== undefined && client.certificate.length > 0
  if (spec.clientCert === 'required' && !shown) return { code: Code.TLS_CERT_MISSING }
  if (spec.clientCert !== 'none' && shown && client.untrusted) {
    return { code: Code.TLS_CERT_UNTRUSTED }
  }
  return { version, cipher, alpn }
}

function commonVersion(spec: DownstreamTlsSpec, hello: ClientHello): number | undefined {
  const { minVersion, maxVersion } = spec
  if (maxVersion === 'TLSv1.3' && hello.versions.includes(0x0304)) return 0x0304
  return minVersion === 'TLSv1.2' && hello.versions.includes(0x0303) ? 0x0303 : undefined
}

/** The server's order counts where it has one. */
function commonCipher(
  spec: DownstreamTlsSpec,
  hello: ClientHello,
  version: number,
): number | undefined {
  const configured = spec.ciphers.map(cipherNumber)
  const known = configured.length > 0 ? configured : CIPHER_SUITES.map(({ number }) => number)
  return known.find(
    (cipher) =>
      cipher !== undefined &&
      (cipher >> 8 === 0x13) === (version === 0x0304) &&
      hello.ciphers.includes(cipher),
  )
}
