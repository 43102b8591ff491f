/** What the core knows of a client's TLS. Only connections with TLS have one. */

import type { ClientHello } from '../../codec/tls.js'
import type { ClientCertDemand, TlsInfo } from '../../policy/types.js'
import type { HandshakeTicket } from './admission.js'

export class DownstreamTls {
  hello: ClientHello | undefined = undefined
  /** The client's TLS, once it is complete. */
  info: TlsInfo | undefined = undefined
  /** TLS with the server. */
  serverInfo: TlsInfo | undefined = undefined
  certificateName: string | undefined = undefined
  clientCertDemand: ClientCertDemand | undefined = undefined
  passes = false
  /** The handshake that waits or is under way. */
  ticket: HandshakeTicket | undefined = undefined
}
