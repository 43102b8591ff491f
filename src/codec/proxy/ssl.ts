/**
 * The SSL TLV of PROXY v2 (proxy-protocol.txt section 2.2.6): what a proxy in
 * front knows of the client's TLS.
 */

import { opensslCipherName } from '../tls/names.js'
import { encodeTlv, parseTlvs, TlvType } from './tlv.js'

const Client = { SSL: 0x01, CERT_CONN: 0x02, CERT_SESS: 0x04 } as const
const Sub = { VERSION: 0x21, CN: 0x22, CIPHER: 0x23, SIG_ALG: 0x24, KEY_ALG: 0x25 } as const

/** Client bits and verify result. */
const HEADER = 5
/** PKIX allows 64 characters. A longer one is left out: cut, it could be another's. */
const MAX_COMMON_NAME = 256

/** The client's TLS, as far as it is told. */
export interface SslSource {
  /** 'TLSv1.3' */
  readonly version: string
  /** IANA name. */
  readonly cipher: string
  readonly resumed: boolean
  readonly verified: boolean
  readonly peerCertificate: { readonly commonName: string } | undefined
}

/** What a PROXY v2 header said of TLS in front of the proxy that sent it; '' for what it did not say. */
export interface ProxySsl {
  /** The client spoke TLS. */
  readonly ssl: boolean
  /** The client gave a certificate, in this connection or in the TLS session it resumed. */
  readonly clientCert: boolean
  /** It gave one, and the certificate was verified. */
  readonly verified: boolean
  /** 'TLSv1.3' */
  readonly version: string
  /** Of the client's certificate. */
  readonly commonName: string
  /** OpenSSL's name in most proxies: 'ECDHE-RSA-AES128-GCM-SHA256'. */
  readonly cipher: string
  /** Algorithm that the certificate in front is signed with: 'RSA-SHA256'. */
  readonly sigAlg: string
  /** Key of the certificate in front: 'RSA2048'. */
  readonly keyAlg: string
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * Encodes the whole TLV. `tls`: the client's, or undefined where it spoke none.
 * `commonName`: tell that of its certificate.
 */
export function encodeProxySsl(tls: SslSource | undefined, commonName: boolean): Uint8Array {
  let client = 0
  const subs: Uint8Array[] = []
  if (tls !== undefined) {
    client = Client.SSL
    subs.push(encodeTlv(Sub.VERSION, encoder.encode(tls.version)))
    const certificate = tls.peerCertificate
    if (certificate !== undefined) {
      client |= tls.resumed ? Client.CERT_SESS : Client.CERT_SESS | Client.CERT_CONN
      const name = commonName ? encoder.encode(certificate.commonName) : encoder.encode('')
      // A zero byte would end the name early for a receiver written in C.
      if (name.length > 0 && name.length <= MAX_COMMON_NAME && !name.includes(0)) {
        subs.push(encodeTlv(Sub.CN, name))
      }
    }
    subs.push(encodeTlv(Sub.CIPHER, encoder.encode(opensslCipherName(tls.cipher))))
  }
  // Zero says that a certificate was given and verified.
  const verify = tls?.verified && tls.peerCertificate !== undefined ? 0 : 1
  return encodeTlv(TlvType.SSL, Buffer.concat([Uint8Array.of(client, 0, 0, 0, verify), ...subs]))
}

/**
 * Reads the SSL TLV out of `conn.proxyTlvs`; undefined where there is none, or it is
 * too short to be one. Never throws.
 */
export function readProxySsl(tlvs: ReadonlyMap<number, Uint8Array>): ProxySsl | undefined {
  const value = tlvs.get(TlvType.SSL)
  if (value === undefined || value.length < HEADER) return undefined
  const client = value[0] as number
  const failed = value.subarray(1, HEADER).some((byte) => byte !== 0)
  const subs = parseTlvs(value.subarray(HEADER))
  const text = (type: number) => decoder.decode(subs.get(type))
  const ssl = (client & Client.SSL) !== 0
  const clientCert = ssl && (client & (Client.CERT_CONN | Client.CERT_SESS)) !== 0
  return {
    ssl,
    clientCert,
    // Some senders leave the result at zero where no certificate was given.
    verified: clientCert && !failed,
    version: text(Sub.VERSION),
    commonName: text(Sub.CN),
    cipher: text(Sub.CIPHER),
    sigAlg: text(Sub.SIG_ALG),
    keyAlg: text(Sub.KEY_ALG),
  }
}
