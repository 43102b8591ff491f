/** TLS contexts of an engine, and the TLSSockets made from them. */

import { constants } from 'node:crypto'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  checkServerIdentity,
  connect,
  createSecureContext,
  createServer,
  type PeerCertificate,
  type SecureContext,
  type SecureContextOptions,
  type Server,
  TLSSocket,
} from 'node:tls'
import { Lru } from '../../../base/lru.js'
import { isRevocationList, pemBlocks } from '../../../codec/pem.js'
import type { DownstreamTlsSpec, RouteSpec, UpstreamTlsSpec } from '../../engine.js'
import { peerCertificate } from './layer.js'
import { offerOf, tlsError } from './names.js'
import { checkCertificate } from './pem.js'
import { SessionGroup } from './sessions.js'
import { type Authorities, authorities, certificateCode, NOBODY } from './verify.js'

/** Makes the server side of connections. */
export class DownstreamContext {
  readonly spec: DownstreamTlsSpec
  readonly group: SessionGroup
  readonly #context: SecureContext
  readonly #authorities: Authorities
  /** Never listens: what TLSSockets ask their server for. */
  readonly #server: Server

  constructor(spec: DownstreamTlsSpec, group: SessionGroup) {
    this.spec = spec
    this.group = group
    const demands = spec.clientCert !== 'none'
    this.#authorities = demands ? authorities(spec.ca, 'clients') : NOBODY
    this.#context = made(() =>
      createSecureContext({
        ...common(spec),
        // Trusting nobody spares every context the list of the system's authorities.
        ca: this.#authorities.pem,
        cert: spec.certificates.map(({ chain }) => chain),
        key: spec.certificates.map(({ key }) => key),
        // Clients know whether AES is fast for them: without a list their order counts.
        honorCipherOrder: spec.ciphers.length > 0,
        secureOptions:
          constants.SSL_OP_NO_COMPRESSION |
          // Refused with no_renegotiation, as rustls does; Node would just close.
          constants.SSL_OP_NO_RENEGOTIATION |
          (spec.tickets ? 0 : constants.SSL_OP_NO_TICKET),
        sessionIdContext: group.idContext,
        sessionTimeout: group.lifetime,
        ticketKeys: group.ticketKeys,
      }),
    )
    this.#server = createServer({ ca: [] })
    // Made by the server, it could not trust an authority that another one issued.
    ;(this.#server as unknown as { _sharedCreds: SecureContext })._sharedCreds = this.#context
    // Node does not say which certificate a handshake shows: with several of them there
    // is no telling whose response to staple.
    const [only, ...others] = spec.certificates
    if (only?.ocsp && others.length === 0) {
      const response = Buffer.from(only.ocsp)
      this.#server.on('OCSPRequest', (_certificate, _issuer, done) => done(null, response))
    }
    group.join(this.#server, spec.sessionCache)
  }

  /** The server side of TLS over a stream. */
  accept(wire: Duplex): TLSSocket {
    const { spec } = this
    return new TLSSocket(wire, {
      isServer: true,
      server: this.#server,
      secureContext: this.#context,
      requestCert: spec.clientCert !== 'none',
      // OpenSSL ends the handshake, with its alert, where none comes. What comes and does
      // not verify is left to `refusal`.
      rejectUnauthorized: spec.clientCert === 'required',
      ...alpnOption(spec.alpn),
    })
  }

  /** Code of what is wrong with the client's certificate; 0 for nothing. It has sent one. */
  refusal(tls: TLSSocket): number {
    // What Node's own server asks, and keeps from those who make a TLSSocket themselves.
    const { ssl } = tls as unknown as { ssl?: { verifyError(): { code: string } | null } | null }
    const error = ssl?.verifyError()
    return error ? certificateCode(error.code, tls, this.#authorities) : 0
  }

  forget(): void {
    this.group.leave(this.#server)
  }
}

/** Makes the client side of connections. */
export class UpstreamContext {
  readonly spec: UpstreamTlsSpec
  readonly #context: SecureContext
  readonly #authorities: Authorities
  /** Sessions by address and name: one that was verified for a name is resumed for that name only. */
  readonly #sessions: Lru<Resumable>
  /** Certificates of the servers whose sessions are being resumed. */
  readonly #resuming = new WeakMap<TLSSocket, Uint8Array>()

  constructor(spec: UpstreamTlsSpec) {
    const { certificate } = spec
    this.spec = spec
    this.#sessions = new Lru(spec.sessionCache)
    if (certificate) checkCertificate(certificate)
    this.#authorities = spec.verify ? authorities(spec.ca, 'servers') : NOBODY
    this.#context = made(() =>
      createSecureContext({
        ...common(spec),
        ca: this.#authorities.pem,
        ...(certificate ? { cert: certificate.chain, key: certificate.key } : {}),
        secureOptions: constants.SSL_OP_NO_COMPRESSION | constants.SSL_OP_NO_RENEGOTIATION,
      }),
    )
  }

  /** The client side of TLS over a stream. Whether the server is the right one, `refusal` says. */
  connect(wire: Duplex, serverName: string, address: RouteSpec['address']): TLSSocket {
    const at = address.kind === 'unix' ? address.path : `${address.ip} ${address.port}`
    const key = `${at} ${serverName}`
    const known = this.#sessions.get(key)
    const tls = connect({
      socket: wire,
      secureContext: this.#context,
      // Node would destroy it before we could see why.
      rejectUnauthorized: false,
      host: serverName,
      checkServerIdentity: (_host, certificate) =>
        this.spec.verify ? nameError(serverName, certificate) : undefined,
      // An address has no place in SNI (RFC 6066 section 3).
      ...(serverName === '' || isIP(serverName) ? {} : { servername: serverName }),
      ...(known ? { session: known.session } : {}),
      ...alpnOption(this.spec.alpn),
    })
    if (this.spec.sessionCache > 0) {
      tls.on('session', (session: Buffer) => {
        if (this.spec.verify && !tls.authorized) return
        this.#sessions.set(key, { session, certificate: this.certificateOf(tls) })
      })
      // A session that made trouble makes it once.
      tls.on('error', () => this.#sessions.delete(key))
    }
    if (known) this.#resuming.set(tls, known.certificate)
    return tls
  }

  /** Code of what is wrong with the server's certificate; 0 for nothing, or where nobody asks. */
  refusal(tls: TLSSocket): number {
    if (!this.spec.verify || tls.authorized) return 0
    return certificateCode(String(tls.authorizationError), tls, this.#authorities)
  }

  /** The server's certificate in DER. Node does not keep it with a session. */
  certificateOf(tls: TLSSocket): Uint8Array {
    const shown = peerCertificate(tls)
    return shown.length > 0 ? shown : (this.#resuming.get(tls) ?? shown)
  }
}

/** What is kept of a server. */
interface Resumable {
  session: Buffer
  certificate: Uint8Array
}

/** The contexts by number. */
export class TlsContexts {
  readonly #contexts = new Map<number, DownstreamContext | UpstreamContext>()
  readonly #groups = new Map<string, SessionGroup>()
  #next = 0

  server(spec: DownstreamTlsSpec): number {
    if (spec.certificates.length === 0) throw tlsError('There is no certificate.')
    for (const certificate of spec.certificates) checkCertificate(certificate)
    const name = spec.sessionGroup
    const known = this.#groups.get(name)
    const group = known ?? new SessionGroup(name, spec.ticketRotation)
    try {
      const number = this.#add(new DownstreamContext(spec, group))
      this.#groups.set(name, group)
      return number
    } finally {
      if (group.unused) group.stop()
    }
  }

  client(spec: UpstreamTlsSpec): number {
    return this.#add(new UpstreamContext(spec))
  }

  downstreamOf(number: number): DownstreamContext | undefined {
    const context = this.#contexts.get(number)
    return context instanceof DownstreamContext ? context : undefined
  }

  upstreamOf(number: number): UpstreamContext | undefined {
    const context = this.#contexts.get(number)
    return context instanceof UpstreamContext ? context : undefined
  }

  /** Connections that use the context have it in hand. A group ends with its last context. */
  forget(number: number): void {
    const context = this.#contexts.get(number)
    this.#contexts.delete(number)
    if (!(context instanceof DownstreamContext)) return
    context.forget()
    if (!context.group.unused) return
    context.group.stop()
    this.#groups.delete(context.spec.sessionGroup)
  }

  stop(): void {
    for (const number of [...this.#contexts.keys()]) this.forget(number)
  }

  #add(context: DownstreamContext | UpstreamContext): number {
    const number = this.#next++
    this.#contexts.set(number, context)
    return number
  }
}

function common(spec: DownstreamTlsSpec | UpstreamTlsSpec): SecureContextOptions {
  for (const protocol of spec.alpn) {
    const { length } = Buffer.from(protocol)
    if (length < 1 || length > 255) {
      throw tlsError(`An ALPN protocol of ${length} bytes: there are 1 to 255.`)
    }
  }
  // An authority needs not be self-signed to be trusted.
  const partial = { allowPartialTrustChain: true }
  return { ...offerOf(spec), ...revocations(spec.crl), ...partial }
}

/** With lists, OpenSSL wants one of every issuer of a chain. Node reads one list of each text. */
function revocations(text: string): SecureContextOptions {
  const crl = pemBlocks(text).flatMap((block) => (isRevocationList(block) ? block.text : []))
  if (crl.length > 0) return { crl }
  if (text.trim() !== '') throw tlsError('There is no revocation list in the crl text.')
  return {}
}

/**
 * Names are alternative names (RFC 9525 section 2): Node would take the common
 * name of a certificate without them. Its check throws for alternative names
 * that it cannot take apart.
 */
function nameError(serverName: string, certificate: PeerCertificate): Error | undefined {
  try {
    if (!certificate.subjectaltname) {
      const code = 'ERR_TLS_CERT_ALTNAME_INVALID'
      return Object.assign(new Error('the certificate has no alternative names'), { code })
    }
    return checkServerIdentity(serverName, certificate)
  } catch (error) {
    return error as Error
  }
}

function alpnOption(protocols: readonly string[]): { ALPNProtocols?: string[] } {
  return protocols.length > 0 ? { ALPNProtocols: [...protocols] } : {}
}

/** What OpenSSL refuses becomes an error of ours. */
function made<T>(make: () => T): T {
  try {
    return make()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ERR_SLUICE_TLS') throw error
    throw tlsError(`The TLS context cannot be made: ${message}`, error)
  }
}
