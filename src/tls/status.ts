/** What others say of certificates: OCSP responses (RFC 6960) and revocation lists (RFC 5280). */

import { derTime, derValues, Tag, within } from './der.js'

/** An OCSP response, as far as it matters for stapling. */
export interface OcspResponse {
  /** 0 is successful; else the responder had nothing to say. */
  readonly status: number
  /** Of the certificate it is for; lower-case hexadecimal without leading zeros. */
  readonly serialNumber: string | undefined
  readonly revoked: boolean
  readonly nextUpdate: Date | undefined
}

/** RFC 6960 section 4.2.1. Undefined where it is no OCSP response. */
export function readOcsp(bytes: Buffer): OcspResponse | undefined {
  const [status, content] = within(derValues(bytes)[0], Tag.SEQUENCE)
  if (status?.tag !== Tag.ENUMERATED || status.bytes.length !== 1) return undefined
  const [, octets] = within(within(content, Tag.CONTEXT_0)[0], Tag.SEQUENCE)
  const [data] = within(within(octets, Tag.OCTET_STRING)[0], Tag.SEQUENCE)
  // version [0] may be there; then responder, producedAt, responses.
  const fields = within(data, Tag.SEQUENCE)
  const responses = fields.find(({ tag }) => tag === Tag.SEQUENCE)
  const single = within(within(responses, Tag.SEQUENCE)[0], Tag.SEQUENCE)
  const [id, state, , next] = single
  const serial = within(id, Tag.SEQUENCE)[3]
  return {
    status: status.bytes[0] as number,
    serialNumber: serial && plainHex(serial.bytes.toString('hex')),
    revoked: state?.tag === Tag.CONTEXT_1,
    nextUpdate: derTime(within(next, Tag.CONTEXT_0)[0]),
  }
}

/** Serial numbers as Node and DER write them become alike. */
export function plainHex(hex: string): string {
  return hex.toLowerCase().replace(/^0+(?=.)/, '')
}

/** RFC 5280 section 5.1: when the next list is due. Undefined where it does not say, or is no list. */
export function nextUpdateOf(pem: string): Date | undefined {
  const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64')
  const [list] = within(derValues(der)[0], Tag.SEQUENCE)
  const times = within(list, Tag.SEQUENCE).filter(
    ({ tag }) => tag === Tag.UTC_TIME || tag === Tag.GENERALIZED_TIME,
  )
  return derTime(times[1])
}
