/** Reading DER (X.690): as much as revocation lists and OCSP responses need. */

/** One value. */
export interface Der {
  readonly tag: number
  readonly bytes: Buffer
}

/** Tags that are looked for. */
export const Tag = {
  INTEGER: 0x02,
  OCTET_STRING: 0x04,
  ENUMERATED: 0x0a,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  SEQUENCE: 0x30,
  /** [0], constructed. */
  CONTEXT_0: 0xa0,
  CONTEXT_1: 0xa1,
} as const

/** The values in `bytes`, one after the other; what is malformed ends them. */
export function derValues(bytes: Buffer): Der[] {
  const values: Der[] = []
  let at = 0
  while (at + 2 <= bytes.length) {
    const tag = bytes[at] as number
    const short = bytes[at + 1] as number
    const extra = short < 0x80 ? 0 : short & 0x7f
    // Four bytes of length are 4 GB.
    if (extra > 4 || short === 0x80 || at + 2 + extra > bytes.length) break
    const length = extra === 0 ? short : bytes.readUIntBE(at + 2, extra)
    const start = at + 2 + extra
    if (start + length > bytes.length) break
    values.push({ tag, bytes: bytes.subarray(start, start + length) })
    at = start + length
  }
  return values
}

/** The values within a value; none where it is missing or has another tag. */
export function within(value: Der | undefined, tag: number): Der[] {
  return value?.tag === tag ? derValues(value.bytes) : []
}

/** UTCTime or GeneralizedTime in UTC with seconds (RFC 5280 section 4.1.2.5). */
export function derTime(value: Der | undefined): Date | undefined {
  if (value?.tag !== Tag.UTC_TIME && value?.tag !== Tag.GENERALIZED_TIME) return undefined
  const text = value.bytes.toString('latin1')
  const match = /^(\d{2}|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (!match) return undefined
  const [, written = '', month, day, hour, minute, second] = match
  const century = written.length === 4 ? '' : Number(written) < 50 ? '20' : '19'
  const date = new Date(`${century}${written}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(date.getTime()) ? undefined : date
}
