/** What other layers use of the PROXY protocol. */

export { buildProxyV1, buildProxyV2 } from './proxy/build.js'
export {
  PROXY_V2_FIXED,
  PROXY_V2_MAX,
  type ProxyAddresses,
  type ProxyHeader,
  parseProxyHeader,
} from './proxy/parse.js'
export { encodeProxySsl, type ProxySsl, readProxySsl } from './proxy/ssl.js'
export { encodeTlv, parseTlvs, TlvType, tlvEnd } from './proxy/tlv.js'
