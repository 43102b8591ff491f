/** Names of the numbers that TLS has on the wire. */

/** A cipher suite that Sluice speaks. */
export interface CipherSuite {
  /** On the wire. */
  readonly number: number
  /** IANA's name. */
  readonly name: string
  /** OpenSSL's name. */
  readonly openssl: string
  readonly version: 'TLSv1.2' | 'TLSv1.3'
}

/** All of them, in the order in which they are offered where nothing is configured. */
export const CIPHER_SUITES: readonly CipherSuite[] = [
  suite(0x1301, 'TLS_AES_128_GCM_SHA256'),
  suite(0x1302, 'TLS_AES_256_GCM_SHA384'),
  suite(0x1303, 'TLS_CHACHA20_POLY1305_SHA256'),
  suite(0xc02b, 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256'),
  suite(0xc02f, 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'),
  suite(0xc02c, 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ECDHE-ECDSA-AES256-GCM-SHA384'),
  suite(0xc030, 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'),
  suite(0xcca9, 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305'),
  suite(0xcca8, 'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-RSA-CHACHA20-POLY1305'),
]

const BY_NUMBER = new Map(CIPHER_SUITES.map((it) => [it.number, it]))
const BY_NAME = new Map(CIPHER_SUITES.map((it) => [it.name, it]))

/** Those of TLS 1.3 have one name everywhere. */
function suite(number: number, name: string, openssl?: string): CipherSuite {
  return { number, name, openssl: openssl ?? name, version: openssl ? 'TLSv1.2' : 'TLSv1.3' }
}

const VERSIONS: ReadonlyMap<number, string> = new Map([
  [0x0300, 'SSLv3'],
  [0x0301, 'TLSv1'],
  [0x0302, 'TLSv1.1'],
  [0x0303, 'TLSv1.2'],
  [0x0304, 'TLSv1.3'],
])

/** RFC 8446 section 6 and the IANA registry, which keeps those of older versions. */
const ALERTS: Readonly<Record<number, string>> = {
  0: 'close_notify',
  10: 'unexpected_message',
  20: 'bad_record_mac',
  21: 'decryption_failed',
  22: 'record_overflow',
  30: 'decompression_failure',
  40: 'handshake_failure',
  41: 'no_certificate',
  42: 'bad_certificate',
  43: 'unsupported_certificate',
  44: 'certificate_revoked',
  45: 'certificate_expired',
  46: 'certificate_unknown',
  47: 'illegal_parameter',
  48: 'unknown_ca',
  49: 'access_denied',
  50: 'decode_error',
  51: 'decrypt_error',
  60: 'export_restriction',
  70: 'protocol_version',
  71: 'insufficient_security',
  80: 'internal_error',
  86: 'inappropriate_fallback',
  90: 'user_canceled',
  100: 'no_renegotiation',
  109: 'missing_extension',
  110: 'unsupported_extension',
  111: 'certificate_unobtainable',
  112: 'unrecognized_name',
  113: 'bad_certificate_status_response',
  114: 'bad_certificate_hash_value',
  115: 'unknown_psk_identity',
  116: 'certificate_required',
  120: 'no_application_protocol',
  121: 'ech_required',
}

/** IANA name, or '0x1304' for a suite that Sluice does not speak. */
export function cipherName(cipher: number): string {
  return BY_NUMBER.get(cipher)?.name ?? hex(cipher)
}

/** Number of the suite with this IANA name; undefined where Sluice does not speak it. */
export function cipherNumber(name: string): number | undefined {
  return BY_NAME.get(name)?.number
}

/** OpenSSL's name of the suite with this IANA name; the same where it has none. */
export function opensslCipherName(name: string): string {
  return BY_NAME.get(name)?.openssl ?? name
}

/** 'TLSv1.3', as OpenSSL and HAProxy write it; '0x7f1c' for an unknown one. */
export function versionName(version: number): string {
  return VERSIONS.get(version) ?? hex(version)
}

/** 'handshake_failure'; 'alert_199' for a number that has no name. */
export function alertName(alert: number): string {
  return ALERTS[alert] ?? `alert_${alert}`
}

function hex(number: number): string {
  return `0x${number.toString(16).padStart(4, '0')}`
}
