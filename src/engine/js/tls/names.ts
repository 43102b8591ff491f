/** Names of TLS versions, cipher suites and groups: from those of a configuration (IANA) to what Node wants. */

import { SluiceError } from '../../../base/errors.js'
import { CIPHER_SUITES } from '../../../codec/tls.js'
import type { TlsVersion } from '../../engine.js'

const SUITES = new Map(CIPHER_SUITES.map((suite) => [suite.name, suite]))

/** '': OpenSSL 3.0 does not have it; it is left out, the others serve. */
const GROUPS: ReadonlyMap<string, string> = new Map([
  ['x25519', 'X25519'],
  ['secp256r1', 'prime256v1'],
  ['secp384r1', 'secp384r1'],
  ['X25519MLKEM768', ''],
])

const VERSIONS: readonly TlsVersion[] = ['TLSv1.2', 'TLSv1.3']

/** What a context offers, as Node wants it. */
export interface Offer {
  /** Colon-separated OpenSSL names. */
  ciphers: string
  ecdhCurve: string
  minVersion: TlsVersion
  maxVersion: TlsVersion
}

/**
 * Translates what is configured. A version for which there is no suite is off.
 * @throws SluiceError (ERR_SLUICE_TLS): a name that nobody knows, or nothing that is left to offer.
 */
export function offerOf(spec: {
  ciphers: readonly string[]
  groups: readonly string[]
  minVersion: TlsVersion
  maxVersion: TlsVersion
}): Offer {
  const suites = chosen(spec.ciphers, SUITES, 'cipher suite')
  const groups = chosen(spec.groups, GROUPS, 'group').filter((group) => group !== '')
  if (groups.length === 0) {
    throw tlsError('The js engine has none of these groups; add x25519 or use the native engine.')
  }
  const from = VERSIONS.indexOf(spec.minVersion)
  const to = VERSIONS.indexOf(spec.maxVersion)
  if (from > to) throw tlsError('minVersion is above maxVersion.')
  const versions = VERSIONS.filter(
    (version, i) => i >= from && i <= to && suites.some((it) => it.version === version),
  )
  const [minVersion] = versions
  const maxVersion = versions.at(-1)
  if (!minVersion || !maxVersion) {
    throw tlsError('ciphers has no suite for the versions that are allowed.')
  }
  return {
    ciphers: suites.map(({ openssl }) => openssl).join(':'),
    ecdhCurve: groups.join(':'),
    minVersion,
    maxVersion,
  }
}

/** Number of a version as Node names it ('TLSv1.3'); 0 for an unknown one. */
export function versionNumber(name: string | null): number {
  return name === 'TLSv1.3' ? 0x0304 : name === 'TLSv1.2' ? 0x0303 : 0
}

export function tlsError(message: string, cause?: unknown): SluiceError {
  return new SluiceError('ERR_SLUICE_TLS', message, cause === undefined ? undefined : { cause })
}

function chosen<T>(names: readonly string[], known: ReadonlyMap<string, T>, what: string): T[] {
  if (names.length === 0) return [...known.values()]
  const byName = new Map([...known].map(([name, value]) => [name.toLowerCase(), value]))
  return names.map((name) => {
    const value = byName.get(name.toLowerCase())
    if (value === undefined) {
      throw tlsError(`Unknown ${what} '${name}'; known are ${[...known.keys()].join(', ')}.`)
    }
    return value
  })
}
