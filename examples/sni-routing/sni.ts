/**
 * A handshake handler that routes TLS by server name (SNI) and does not
 * terminate it: the server gets the client's bytes as they are, and holds the
 * certificates and keys.
 */
import { defineHandshake, type HandshakeHandler } from 'sluice/policy'
import { MAX_HELLO, readServerName } from './client-hello.js'
import { NameTable } from './names.js'

export interface SniRoutingOptions {
  /** Backend by name: 'www.example.com', '*.example.com', or '*' for every other name. */
  names: Record<string, string>
  /** Backend of clients that send no name; without it they get an alert. */
  noName?: string
}

/** Fatal alerts (RFC 8446 section 6, RFC 6066 section 3), in records of version 1.0 as all understand them. */
const alert = (description: number) => Uint8Array.of(21, 3, 1, 0, 2, 2, description)
const DECODE_ERROR = alert(50)
const UNRECOGNIZED_NAME = alert(112)

/** Chooses the backend by server name, and sets `conn.vars.sni`. */
export function sniRouting({ names, noName }: SniRoutingOptions): HandshakeHandler {
  const table = new NameTable(names)
  return defineHandshake({
    name: 'sni-routing',
    // The message and its record headers, should somebody send a few bytes in each.
    limit: 2 * MAX_HELLO,
    deadline: '5s',
    onBytes(conn, bytes, { full }) {
      const hello = readServerName(bytes)
      if (hello.kind === 'more') return full ? { reply: DECODE_ERROR } : 'more'
      if (hello.kind === 'invalid') {
        conn.log.info({ why: hello.why }, 'no valid ClientHello')
        return { reply: DECODE_ERROR }
      }
      const name = hello.kind === 'name' ? hello.name : ''
      const backend = name === '' ? noName : table.find(name)
      if (backend === undefined) {
        conn.log.info({ sni: name }, 'no backend for this server name')
        return { reply: UNRECOGNIZED_NAME }
      }
      return { backend, vars: { sni: name } }
    },
  })
}
