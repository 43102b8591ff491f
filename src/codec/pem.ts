/** PEM (RFC 7468). */

export interface PemBlock {
  /** 'CERTIFICATE', 'PRIVATE KEY', ... */
  readonly label: string
  /** With its first and last line. */
  readonly text: string
}

/**
 * The blocks of a text, in order. A label begins its line (RFC 7468 section 2): what stands
 * between blocks, or in front of a label that is commented out, is commentary.
 */
export function pemBlocks(text: string): PemBlock[] {
  const pattern = /^-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?^-----END \1-----/gm
  return Array.from(text.matchAll(pattern), ([block, label = '']) => ({ label, text: block }))
}

export function isCertificate(block: PemBlock): boolean {
  return /^(X509 |TRUSTED )?CERTIFICATE$/.test(block.label)
}

export function isKey(block: PemBlock): boolean {
  return /(^| )PRIVATE KEY$/.test(block.label)
}

export function isRevocationList(block: PemBlock): boolean {
  return block.label === 'X509 CRL'
}
