/** Schema of TLS: towards clients on a bind, and towards servers. */

import type { z } from 'zod'
import { suggest } from '../base/suggest.js'
import { show } from '../base/units.js'
import { CIPHER_SUITES } from '../codec/tls.js'
import { defaults } from './defaults.js'
import {
  anyOf,
  duration,
  either,
  flag,
  fn,
  integer,
  leaf,
  list,
  object,
  oneOf,
  optional,
  required,
  text,
} from './fields.js'
import { MAX } from './schema-common.js'
import type { CertificateConfig, TlsBindConfig, TlsServerConfig, TlsVersion } from './types.js'

const named = (version: TlsVersion) =>
  CIPHER_SUITES.filter((suite) => suite.version === version).map(({ name }) => name)

/** Cipher suites of both engines by their IANA names. */
export const tls13Ciphers: readonly string[] = named('TLSv1.3')
export const tls12Ciphers: readonly string[] = named('TLSv1.2')
const ciphers = [...tls13Ciphers, ...tls12Ciphers]
const groups = ['x25519', 'secp256r1', 'secp384r1', 'X25519MLKEM768']

/** What OpenSSL calls them. */
const ciphersElsewhere = new Map(CIPHER_SUITES.map(({ openssl, name }) => [openssl, name]))
const groupsElsewhere = new Map([
  ['P-256', 'secp256r1'],
  ['prime256v1', 'secp256r1'],
  ['P-384', 'secp384r1'],
])

/** One of the names; one of another standard gets ours as suggestion. */
function nameOf(names: readonly string[], elsewhere: ReadonlyMap<string, string>): z.ZodType {
  const type = names.map((name) => `'${name}'`).join(' | ')
  const expected = anyOf(names.map(show))
  return leaf(['string'], { type, expected }, (value: string) => {
    if (names.includes(value)) return undefined
    const near = elsewhere.get(value) ?? suggest(value, names)
    const message = `expected ${expected}, got ${show(value)}.`
    return near === undefined ? { message } : { message, suggestion: near }
  })
}

/** One path or several. */
const files = (expected: string): z.ZodType =>
  either(`${expected} or a list of these`, text(expected), list(text(expected)))

const protocol = leaf(
  ['string'],
  { type: 'string', expected: "a protocol such as 'h2'" },
  (value: string) =>
    // RFC 7301 section 3.1: 1 to 255 bytes.
    value !== '' && Buffer.byteLength(value) <= 255
      ? undefined
      : { message: `expected a protocol of 1 to 255 bytes, got ${show(value)}.` },
)

const common = {
  alpn: optional(
    list(protocol),
    'Protocols in order of preference.',
    'ALPN is not used',
    "['h2', 'http/1.1']",
  ),
  minVersion: optional(
    oneOf('TLSv1.2', 'TLSv1.3'),
    'Oldest version.',
    `'${defaults.tls.minVersion}'`,
  ),
  maxVersion: optional(
    oneOf('TLSv1.2', 'TLSv1.3'),
    'Newest version.',
    `'${defaults.tls.maxVersion}'`,
  ),
  ciphers: optional(
    list(nameOf(ciphers, ciphersElsewhere)).meta({ type: 'string[]' }),
    `Cipher suites in order of preference, by IANA names: ${ciphers.map((name) => `\`${name}\``).join(', ')}.`,
    "the engine's",
  ),
  groups: optional(
    list(nameOf(groups, groupsElsewhere)),
    'Key exchange groups in order of preference. X25519MLKEM768 is for the native engine.',
    "the engine's",
  ),
  ca: optional(
    files('a PEM file'),
    "PEM file(s) of the authorities that peers' certificates are verified against.",
    'none for clients, those of the system for servers',
  ),
  crl: optional(files('a PEM file'), 'PEM file(s) of revocation lists.', 'none'),
}

const certificate = object<CertificateConfig>({
  cert: required(
    text('a PEM file'),
    'PEM file: the certificate, then its issuers, and the key unless `key` has it.',
    "'/etc/ssl/a.pem'",
  ),
  key: optional(text('a PEM file'), 'PEM file of the key.', 'in `cert`'),
  ocsp: optional(text('a DER file'), 'OCSP response to staple.', 'none'),
})

const bindSet = object<TlsBindConfig>({
  cert: optional(
    files('a PEM file or a folder'),
    'PEM file(s) or folders, relative to the working folder. A file holds a chain and, unless `key` names it, ' +
      'its key. In a folder every NAME.pem or NAME.crt is one, with its key inside or in NAME.key, and an OCSP ' +
      'response in NAME.ocsp; files come before folders. RSA and ECDSA certificates of the same name stand side by side.',
    undefined,
    "'/etc/ssl/sluice/'",
  ),
  key: optional(text('a PEM file'), 'Key of `cert`, where that is one file.', 'in `cert`'),
  ocsp: optional(
    text('a DER file'),
    'OCSP response to staple to `cert`, where that is one file.',
    'none',
  ),
  certificates: optional(list(certificate), 'More certificates, each with its files.', 'none'),
  strictSni: optional(
    flag,
    'Refuse names that no certificate is for, instead of showing the first certificate.',
    false,
  ),
  clientCert: optional(
    oneOf('none', 'optional', 'required'),
    'Ask clients for a certificate, and verify it against `ca`.',
    "'none'",
  ),
  tickets: optional(
    either(
      'true, false or { rotate: ... }',
      flag,
      object<{ rotate?: string }>({
        rotate: optional(
          duration(1000),
          'Age at which the keys of tickets are rotated.',
          `'${defaults.tls.ticketRotation}'`,
        ),
      }),
    ),
    'Resume sessions by tickets.',
    true,
  ),
  sessionCache: optional(
    integer(0, MAX),
    'Most sessions kept for resumption without tickets; 0 keeps none.',
    defaults.tls.sessionCache,
  ),
  ...common,
})

/** `bind.tls`. */
export const bindTls: z.ZodType = either('{ cert, ... } or a list of these', bindSet, list(bindSet))

/** `server.tls`. */
export const serverTls: z.ZodType = either(
  'true, false or { verify, serverName, ... }',
  flag,
  object<TlsServerConfig>({
    verify: optional(
      oneOf('required', 'none'),
      "'required' verifies the server's certificate against `ca`; 'none' takes any, and says so in the log.",
      "'required'",
    ),
    serverName: optional(
      either(
        'a host name or (conn) => name',
        text('a host name'),
        fn('(conn) => string | undefined'),
      ),
      "Name for SNI and verification. A function gets the client's connection; undefined takes the default.",
      'the host name or IP address of the server',
      "'app.internal'",
    ),
    cert: optional(text('a PEM file'), 'Certificate to show to servers that ask for one.', 'none'),
    key: optional(text('a PEM file'), 'Its key.', 'in `cert`'),
    resumption: optional(flag, 'Resume sessions.', true),
    ...common,
  }),
)
