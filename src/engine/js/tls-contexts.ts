/** TLS contexts of an engine, and the TLSSockets made from them. */

import { constants } from 'node:crypto'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  checkServerIdentity,
  connect,
  createSecureContext,
  createServer,
  type SecureContext,
  type SecureContextOptions,
  type Server,
  TLSSocket,
} from 'node:tls'
import type { RouteSpec, TlsClientSpec, TlsServerSpec } from '../engine.js'
import { Lru } from './lru.js'
import { offerOf, tlsError } from './tls-names.js'
import { certificates, checkCertificate, pemBlocks } from './tls-pem.js'
import { SessionGroup } from './tls-sessions.js'

/** Makes the server side of connections. */
export class TlsServerContext {
  readonly spec: TlsServerSpec
  readonly group: SessionGroup
  readonly #context: SecureContext
  /** Never listens: what TLSSockets ask their server for. */
  readonly #server: Server

  constructor(spec: TlsServerSpec, group: SessionGroup) {
    this.spec = spec
    this.group = group
    const demands = spec.clientCert !== 'none'
    this.#context = made(() =>
      createSecureContext({
        ...common(spec),
        // Trusting nobody spares every context the list of the system's authorities.
        ca: demands ? trusted(spec.ca, 'clients') : [],
        cert: spec.certificates.map(({ chain }) => chain),
        key: spec.certificates.map(({ key }) => key),
        // Clients know whether AES is fast for them: without a list their order counts.
        honorCipherOrder: spec.ciphers.length > 0,
        secureOptions:
          constants.SSL_OP_NO_COMPRESSION | (spec.tickets ? 0 : constants.SSL_OP_NO_TICKET),
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
    const tls = new TLSSocket(wire, {
      isServer: true,
      server: this.#server,
      secureContext: this.#context,
      requestCert: spec.clientCert !== 'none',
      // OpenSSL ends the handshake, with its alert, where none comes. Those that come
      // and do not verify are left to `verifyError`.
      rejectUnauthorized: spec.clientCert === 'required',
      ...alpnOption(spec.alpn),
    })
    tls.disableRenegotiation()
    return tls
  }

  forget(): void {
    this.group.leave(this.#server)
  }
}

/** What Node's own server asks at the end of a handshake, and keeps from those who make one themselves. */
export function verifyError(tls: TLSSocket): NodeJS.ErrnoException | undefined {
  const { ssl } = tls as unknown as {
    ssl?: { verifyError(): NodeJS.ErrnoException | null } | null
  }
  return ssl?.verifyError() ?? undefined
}

/** Makes the client side of connections. */
export class TlsClientContext {
  readonly spec: TlsClientSpec
  readonly #context: SecureContext
  /** Sessions by address and name: one that was verified for a name is resumed for that name only. */
  readonly #sessions: Lru<Buffer>

  constructor(spec: TlsClientSpec) {
    const { certificate } = spec
    this.spec = spec
    this.#sessions = new Lru(spec.sessionCache)
    if (certificate) checkCertificate(certificate)
    this.#context = made(() =>
      createSecureContext({
        ...common(spec),
        ca: spec.verify ? trusted(spec.ca, 'servers') : [],
        ...(certificate ? { cert: certificate.chain, key: certificate.key } : {}),
        secureOptions: constants.SSL_OP_NO_COMPRESSION | constants.SSL_OP_NO_RENEGOTIATION,
      }),
    )
  }

  /** The client side of TLS over a stream. An 'error' tells a server that does not verify. */
  connect(wire: Duplex, serverName: string, address: RouteSpec['address']): TLSSocket {
    const at = address.kind === 'unix' ? address.path : `${address.ip} ${address.port}`
    const key = `${at} ${serverName}`
    const session = this.#sessions.get(key)
    const tls = connect({
      socket: wire,
      secureContext: this.#context,
      rejectUnauthorized: this.spec.verify,
      host: serverName,
      checkServerIdentity: (_host, certificate) => checkServerIdentity(serverName, certificate),
      // An address has no place in SNI (RFC 6066 section 3).
      ...(serverName === '' || isIP(serverName) ? {} : { servername: serverName }),
      ...(session ? { session } : {}),
      ...alpnOption(this.spec.alpn),
    })
    if (this.spec.sessionCache > 0) {
      tls.on('session', (fresh: Buffer) => this.#sessions.set(key, fresh))
      // A session that made trouble makes it once.
      tls.on('error', () => this.#sessions.delete(key))
    }
    return tls
  }
}

/** The contexts by number. */
export class TlsContexts {
  readonly #contexts = new Map<number, TlsServerContext | TlsClientContext>()
  readonly #groups = new Map<string, SessionGroup>()
  #next = 0

  server(spec: TlsServerSpec): number {
    if (spec.certificates.length === 0) throw tlsError('There is no certificate.')
    for (const certificate of spec.certificates) checkCertificate(certificate)
    const name = spec.sessionGroup
    const known = this.#groups.get(name)
    const group = known ?? new SessionGroup(name, spec.ticketRotation)
    try {
      const number = this.#add(new TlsServerContext(spec, group))
      this.#groups.set(name, group)
      return number
    } finally {
      if (group.unused) group.stop()
    }
  }

  client(spec: TlsClientSpec): number {
    return this.#add(new TlsClientContext(spec))
  }

  serverOf(number: number): TlsServerContext | undefined {
    const context = this.#contexts.get(number)
    return context instanceof TlsServerContext ? context : undefined
  }

  clientOf(number: number): TlsClientContext | undefined {
    const context = this.#contexts.get(number)
    return context instanceof TlsClientContext ? context : undefined
  }

  /** Connections that use the context have it in hand. A group ends with its last context. */
  forget(number: number): void {
    const context = this.#contexts.get(number)
    this.#contexts.delete(number)
    if (!(context instanceof TlsServerContext)) return
    context.forget()
    if (!context.group.unused) return
    context.group.stop()
    this.#groups.delete(context.spec.sessionGroup)
  }

  stop(): void {
    for (const number of [...this.#contexts.keys()]) this.forget(number)
  }

  #add(context: TlsServerContext | TlsClientContext): number {
    const number = this.#next++
    this.#contexts.set(number, context)
    return number
  }
}

function common(spec: TlsServerSpec | TlsClientSpec): SecureContextOptions {
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
  const crl = pemBlocks(text, 'X509 CRL')
  if (crl.length > 0) return { crl }
  if (text.trim() !== '') throw tlsError('There is no revocation list in the crl text.')
  return {}
}

function trusted(ca: string, whom: string): string[] {
  if (ca.trim() === '') throw tlsError(`There is no authority to verify ${whom} against.`)
  certificates(ca, 'the authorities')
  return [ca]
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
