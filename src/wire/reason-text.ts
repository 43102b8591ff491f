/** Why a connection ended, as a sentence for the log: one of a few dozen, without names or numbers. */

import { reasonBy, reasonPhase, unpackReason } from './reason.js'
import { By, type CodeLabel, Phase } from './wire.js'

/** `%` is whoever `by` names. */
const TEXTS: Readonly<Record<CodeLabel, string>> = {
  done: 'session ended',
  reset: '% reset the connection',
  aborted: '% closed too early',
  refused: '% refused the connection',
  unreachable: '% cannot be reached',
  'io-error': 'socket error with %',
  'bad-address': 'the address of % cannot be used',
  'fd-exhausted': 'out of file descriptors',
  'ports-exhausted': 'out of local ports to the server',
  'no-memory': 'the kernel is out of memory',
  'table-full': 'the connection table is full',
  'connect-timeout': 'no connect to the server in time',
  'client-timeout': 'the client was silent for too long',
  'server-timeout': 'the server was silent for too long',
  'client-fin-timeout': 'the client did not finish in time',
  'server-fin-timeout': 'the server did not finish in time',
  'tunnel-timeout': 'the tunnel was silent for too long',
  'handshake-timeout': 'no handshake with % in time',
  'verdict-timeout': 'no verdict in time',
  'queue-timeout': 'waited in the queue for too long',
  'queue-full': 'the queue is full',
  'proxy-signature': 'no PROXY header',
  'proxy-malformed': 'malformed PROXY header',
  'proxy-too-long': 'PROXY header too long',
  'proxy-checksum': 'PROXY header with a wrong checksum',
  'proxy-untrusted': 'PROXY header from a source that is not trusted',
  'socks-malformed': 'the SOCKS proxy answered nonsense',
  'socks-no-method': 'the SOCKS proxy wants another authentication',
  'socks-auth': 'the SOCKS proxy refused the user',
  'socks-refused': 'the SOCKS proxy refused the request',
  rejected: 'rejected by policy',
  tarpit: 'tarpitted by policy',
  replied: 'answered by policy',
  'policy-error': 'the policy failed',
  'handshake-limit': 'more bytes than a handshake rule takes',
  'no-backend': 'no backend was chosen',
  'no-server': 'no server is usable',
  health: 'health check answered',
  monitor: 'monitor answered',
  'applet-error': 'the applet failed',
  shutdown: 'closed because the proxy stops',
  killed: 'closed by an operator',
  internal: 'a defect of Sluice',
  resolve: 'the name of the server does not resolve',
  'not-tls': '% does not speak TLS',
  'plain-http': 'plain HTTP on a TLS port',
  'tls-hello-too-large': 'ClientHello too large',
  'tls-malformed': '% sent malformed TLS',
  'tls-version': 'no TLS version in common with %',
  'tls-cipher': 'no TLS cipher suite in common with %',
  'tls-no-certificate': 'no certificate for the server name',
  'tls-alpn': 'no application protocol (ALPN) in common with %',
  'tls-alert': '% sent a TLS alert',
  'tls-cert-missing': '% gave no certificate',
  'tls-cert-expired': 'the certificate of % has expired or is not valid yet',
  'tls-cert-name': 'the certificate of % is for another name',
  'tls-cert-untrusted': 'the certificate of % is not trusted',
  'tls-cert-revoked': 'the certificate of % is revoked',
  'tls-cert-invalid': 'the certificate of % cannot be used',
  'tls-truncated': '% closed TLS without close_notify',
  'tls-renegotiation': '% wants to renegotiate TLS',
  'tls-error': 'TLS failed with %',
  'tls-hello-dripped': 'ClientHello in too many pieces',
  'tls-clear-bytes': 'bytes in clear behind a request to start TLS',
}

/** The sentence for a reason word. */
export function reasonText(reason: number): string {
  return TEXTS[unpackReason(reason).code].replace('%', party(reason))
}

/** Who the connection was with when it ended: what is by the proxy or a time-out has a side too. */
function party(reason: number): string {
  switch (reasonBy(reason)) {
    case By.CLIENT:
      return 'the client'
    case By.SERVER:
      return 'the server'
    default: {
      const phase = reasonPhase(reason)
      const outgoing = phase >= Phase.QUEUE && phase <= Phase.TLS_OUT
      return outgoing ? 'the server' : 'the client'
    }
  }
}
