/**
 * Certificates of test clients: X.509 (RFC 5280) in DER that can be read like
 * any other one. Their signature is none: nobody verifies it here.
 */

export interface TestCertificate {
  commonName: string
  organization?: string
  /** DNS names. */
  altNames?: readonly string[]
}

const OID_COMMON_NAME = '550403'
const OID_ORGANIZATION = '55040a'
const OID_ALT_NAME = '551d11'
const OID_ED25519 = '2b6570'

export function buildCertificate(options: TestCertificate): Buffer {
  const { commonName, organization, altNames = [] } = options
  const subject = sequence(
    attribute(OID_COMMON_NAME, commonName),
    ...(organization === undefined ? [] : [attribute(OID_ORGANIZATION, organization)]),
  )
  const issuer = sequence(attribute(OID_COMMON_NAME, 'Sluice test authority'))
  const algorithm = sequence(oid(OID_ED25519))
  const validity = sequence(utcTime('200101000000Z'), utcTime('491231235959Z'))
  const key = sequence(algorithm, tag(0x03, Buffer.alloc(33, 0).fill(9, 1)))
  const names = sequence(...altNames.map((name) => tag(0x82, Buffer.from(name))))
  const extensions = tag(0xa3, sequence(sequence(oid(OID_ALT_NAME), tag(0x04, names))))
  const signed = sequence(
    tag(0xa0, tag(0x02, Buffer.from([2]))),
    tag(0x02, Buffer.from([1])),
    algorithm,
    issuer,
    validity,
    subject,
    key,
    ...(altNames.length === 0 ? [] : [extensions]),
  )
  return sequence(signed, algorithm, tag(0x03, Buffer.alloc(65)))
}

function attribute(type: string, value: string): Buffer {
  return tag(0x31, sequence(oid(type), tag(0x0c, Buffer.from(value))))
}

function sequence(...parts: Buffer[]): Buffer {
  return tag(0x30, Buffer.concat(parts))
}

function oid(hex: string): Buffer {
  return tag(0x06, Buffer.from(hex, 'hex'))
}

function utcTime(text: string): Buffer {
  return tag(0x17, Buffer.from(text))
}

/** DER: a type, the length in its shortest form, the content. */
function tag(type: number, content: Buffer): Buffer {
  const { length } = content
  const head =
    length < 128
      ? [type, length]
      : length < 256
        ? [type, 0x81, length]
        : [type, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from(head), content])
}
