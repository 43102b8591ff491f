/** TLS: towards clients on a bind, and towards servers. */

import { suggest } from '../base/suggest.js'
import { show } from '../base/units.js'
import { CIPHER_SUITES } from '../codec/tls.js'
import type { Connection } from '../policy/types.js'
import { MAX } from './limits.js'
import { optional, type ResolvedBy, required, section } from './section.js'
import {
  alias,
  anyOf,
  duration,
  either,
  flag,
  fn,
  integer,
  leaf,
  list,
  oneOf,
  type Type,
  text,
  type WrittenAs,
} from './type.js'

const version = alias('TlsVersion', oneOf('TLSv1.2', 'TLSv1.3'))

export type TlsVersion = WrittenAs<typeof version>

const namesOf = (wanted: TlsVersion) =>
  CIPHER_SUITES.filter((suite) => suite.version === wanted).map(({ name }) => name)

/** Cipher suites of both engines by their IANA names. */
export const tls13Ciphers: readonly string[] = namesOf('TLSv1.3')
const ciphers = [...tls13Ciphers, ...namesOf('TLSv1.2')]
const groups = ['x25519', 'secp256r1', 'secp384r1', 'X25519MLKEM768']

/** What OpenSSL calls them. */
const ciphersElsewhere = new Map(CIPHER_SUITES.map(({ openssl, name }) => [openssl, name]))
const groupsElsewhere = new Map([
  ['P-256', 'secp256r1'],
  ['prime256v1', 'secp256r1'],
  ['P-384', 'secp384r1'],
])

/** One of the names; one of another standard gets ours as suggestion. */
function nameOf(names: readonly string[], elsewhere: ReadonlyMap<string, string>): Type<string> {
  const type = names.map((name) => `'${name}'`).join(' | ')
  const expected = anyOf(names.map(show))
  return leaf(['string'], { type, expected, code: 'string' }, (value: string) => {
    if (names.includes(value)) return undefined
    const near = elsewhere.get(value) ?? suggest(value, names)
    const message = `expected ${expected}, got ${show(value)}.`
    return near === undefined ? { message } : { message, suggestion: near }
  })
}

/** Shown as `string[]`: the names stand in what is said of them. */
function brief(names: Type<string[]>): Type<string[]> {
  return { ...names, schema: names.schema.meta({ type: 'string[]' }) }
}

/** One path or several. */
const files = (expected: string) =>
  either(`${expected} or a list of these`, text(expected), list(text(expected)))

const protocol: Type<string> = leaf(
  ['string'],
  { type: 'string', expected: "a protocol such as 'h2'" },
  (value: string) =>
    // RFC 7301 section 3.1: 1 to 255 bytes.
    value !== '' && Buffer.byteLength(value) <= 255
      ? undefined
      : { message: `expected a protocol of 1 to 255 bytes, got ${show(value)}.` },
)

const common = {
  alpn: optional(list(protocol), 'Protocols in order of preference.', {
    default: [],
    means: 'ALPN is not used',
    example: "['h2', 'http/1.1']",
  }),
  minVersion: optional(version, 'Oldest version.', { default: 'TLSv1.2' }),
  maxVersion: optional(version, 'Newest version.', { default: 'TLSv1.3' }),
  ciphers: optional(
    brief(list(nameOf(ciphers, ciphersElsewhere))),
    `Cipher suites in order of preference, by IANA names: ${ciphers.map((name) => `\`${name}\``).join(', ')}.`,
    { default: [], means: "the engine's" },
  ),
  groups: optional(
    list(nameOf(groups, groupsElsewhere)),
    'Key exchange groups in order of preference. X25519MLKEM768 is for the native engine.',
    { default: [], means: "the engine's" },
  ),
  ca: optional(
    files('a PEM file'),
    "PEM file(s) of the authorities that peers' certificates are verified against.",
    { means: 'none for clients, those of the system for servers' },
  ),
  crl: optional(files('a PEM file'), 'PEM file(s) of revocation lists.', { means: 'none' }),
}

/** What both sides have. */
export const commonTls = section(common)

const certificate = section(
  {
    cert: required(
      text('a PEM file'),
      'PEM file: the certificate, then its issuers, and the key unless `key` has it.',
      { example: "'/etc/ssl/a.pem'" },
    ),
    key: optional(text('a PEM file'), 'PEM file of the key.', { means: 'in `cert`' }),
    ocsp: optional(text('a DER file'), 'OCSP response to staple.', { means: 'none' }),
  },
  'CertificateConfig',
  'One file (or directory) for chain and key, or two.',
)

export const tickets = section({
  rotate: optional(duration(1000), 'Age at which the keys of tickets are rotated.', {
    default: '6h',
  }),
})

/** A set of certificates of a bind. */
export const tlsOfBind = section(
  {
    cert: optional(
      files('a PEM file or a folder'),
      'PEM file(s) or folders, relative to the working folder. A file holds a chain and, unless `key` names it, ' +
        'its key. In a folder every NAME.pem or NAME.crt is one, with its key inside or in NAME.key, and an OCSP ' +
        'response in NAME.ocsp; files come before folders. RSA and ECDSA certificates of the same name stand side by side.',
      { example: "'/etc/ssl/sluice/'" },
    ),
    key: optional(text('a PEM file'), 'Key of `cert`, where that is one file.', {
      means: 'in `cert`',
    }),
    ocsp: optional(
      text('a DER file'),
      'OCSP response to staple to `cert`, where that is one file.',
      { means: 'none' },
    ),
    certificates: optional(list(certificate), 'More certificates, each with its files.', {
      means: 'none',
    }),
    strictSni: optional(
      flag,
      'Refuse names that no certificate is for, instead of showing the first certificate.',
      { default: false },
    ),
    clientCert: optional(
      oneOf('none', 'optional', 'required'),
      'Ask clients for a certificate, and verify it against `ca`.',
      { default: 'none' },
    ),
    tickets: optional(
      either('true, false or { rotate: ... }', flag, tickets),
      'Resume sessions by tickets.',
      { default: true },
    ),
    sessionCache: optional(
      integer(0, MAX),
      'Most sessions kept for resumption without tickets; 0 keeps none.',
      { default: 4096 },
    ),
    ...common,
  },
  'DownstreamTlsConfig',
)

/** `tls` of a server. */
export const tlsOfServer = section(
  {
    verify: optional(
      oneOf('required', 'none'),
      "'required' verifies the server's certificate against `ca`; 'none' takes any, and says so in the log.",
      { default: 'required' },
    ),
    serverName: optional(
      either(
        'a host name or (conn) => name',
        text('a host name'),
        fn<(conn: Connection) => string | undefined>(
          '(conn) => string | undefined',
          '(conn: Connection) => string | undefined',
        ),
      ),
      "Name for SNI and verification. A function gets the client's connection; undefined takes the default.",
      { means: 'the host name or IP address of the server', example: "'app.internal'" },
    ),
    cert: optional(text('a PEM file'), 'Certificate to show to servers that ask for one.', {
      means: 'none',
    }),
    key: optional(text('a PEM file'), 'Its key.', { means: 'in `cert`' }),
    resumption: optional(flag, 'Resume sessions.', { default: true }),
    ...common,
  },
  'UpstreamTlsConfig',
)

export type CommonTls = ResolvedBy<typeof commonTls>
export type TlsOfBind = ResolvedBy<typeof tlsOfBind>
export type TlsOfServer = ResolvedBy<typeof tlsOfServer>
