/** Rules on TLS: before the handshake, on the ClientHello, and behind it. */
import { readFileSync } from 'node:fs'
import {
  type ClientHello,
  type Connection,
  clientCert,
  reject,
  type TlsInfo,
  useBackend,
} from 'sluice/policy'

type Greeting = Connection & { readonly hello: ClientHello }
type Secured = Connection & { readonly tls: TlsInfo }

/** Turns away clients whose JA4 fingerprint is in the file: one a line, '#' begins a comment. */
export function withoutFingerprints(file: string) {
  const lines = readFileSync(file, 'utf8').split('\n')
  const denied = new Set(lines.map((line) => line.replace(/#.*/, '').trim()).filter(Boolean))
  return function deniedFingerprint({ hello, log }: Greeting) {
    if (!denied.has(hello.ja4)) return
    log.info({ ja4: hello.ja4, serverName: hello.serverName }, 'fingerprint denied')
    return reject()
  }
}

/** Clients of this name must show a certificate; no other name leads to `backend`. */
export function certificateFor(name: string, backend: string) {
  return function certificateDemanded({ hello }: Greeting) {
    if (hello.serverName === name) return [clientCert('required'), useBackend(backend)]
  }
}

/** Not everybody whose certificate the authority signed may reach `name`. */
export function onlyFor(name: string, people: readonly string[]) {
  return function notOnTheList({ tls, log }: Secured) {
    if (tls.serverName !== name) return
    const who = tls.peerCertificate?.commonName ?? ''
    if (tls.verified && people.includes(who)) return
    log.warn({ who, fingerprint: tls.peerCertificate?.fingerprint }, `may not reach ${name}`)
    return reject()
  }
}

/** Clients that chose HTTP/2 go to the servers that speak it. */
export function http2To(backend: string, except: string) {
  return function byProtocol({ tls }: Secured) {
    if (tls.alpn === 'h2' && tls.serverName !== except) return useBackend(backend)
  }
}
