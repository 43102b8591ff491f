/** PEM texts of TLS contexts, checked before OpenSSL sees them: its own words do not say what is wrong. */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { isCertificate, isKey, pemBlocks } from '../../../codec/pem.js'
import type { TlsCertificate } from '../../engine.js'
import { tlsError } from './names.js'

/** @throws SluiceError (ERR_SLUICE_TLS) where there is none, or one cannot be read. `what` names the text. */
export function certificates(text: string, what: string): X509Certificate[] {
  const blocks = pemBlocks(text).filter(isCertificate)
  if (blocks.length === 0) throw tlsError(`There is no certificate in ${what}.`)
  return blocks.map(({ text: block }, i) => {
    try {
      return new X509Certificate(block)
    } catch (error) {
      throw tlsError(`Certificate ${i + 1} of ${what} cannot be read.`, error)
    }
  })
}

/** Checks that both can be used and belong together. @throws SluiceError (ERR_SLUICE_TLS). */
export function checkCertificate({ chain, key }: TlsCertificate): void {
  const [first] = certificates(chain, 'the certificate chain')
  if (!first?.checkPrivateKey(privateKey(key))) {
    throw tlsError('The private key does not belong to the first certificate of the chain.')
  }
}

function privateKey(text: string): KeyObject {
  if (!pemBlocks(text).some(isKey)) throw tlsError('There is no private key.')
  if (text.includes('ENCRYPTED')) throw tlsError('The private key is encrypted.')
  try {
    return createPrivateKey(text)
  } catch (error) {
    // Node's words, which may quote the text, stay out.
    const { code } = error as NodeJS.ErrnoException
    throw tlsError(`The private key cannot be read (${code ?? 'unknown error'}).`)
  }
}
