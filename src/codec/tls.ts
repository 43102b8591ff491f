/** What other layers use of the bytes of TLS. */

export { altNames } from './tls/alt-names.js'
export {
  type ClientHello,
  type Framed,
  frameClientHello,
  HelloReader,
  knownJa4,
  parseClientHello,
} from './tls/client-hello.js'
export { isServerName } from './tls/client-hello-pack.js'
export { alertName, CIPHER_SUITES, cipherName, cipherNumber, versionName } from './tls/names.js'
