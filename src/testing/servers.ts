/** Servers that do what a test says: how connects end, and what is answered. */

import { Code } from '../wire/wire.js'
import type { TestClient } from './engine/client.js'
import type { ConnectOutcome } from './engine/parts.js'

/** What a server sends, by what it has received so far; undefined for nothing yet. */
export type ServerReply = (received: Buffer) => string | Uint8Array | undefined

/** A server that accepts. */
export interface ServerScript {
  /** Sent as soon as the connection is there, as SSH and SMTP servers do. */
  greeting?: string | Uint8Array
  /** Sent once, with the first bytes that arrive; as a function, asked at each arrival. */
  reply?: string | Uint8Array | ServerReply
  /** Ends the connection after the reply or, where there is none, the greeting. */
  end?: 'fin' | 'reset'
  /** Does not answer the client's FIN with its own. */
  allowHalfOpen?: boolean
}

/** What is wrong with TLS to a server: its certificate, or an alert that it sends. */
export type ServerTlsFailure = 'untrusted' | 'expired' | 'wrong-name' | 'revoked' | 'alert'

/**
 * What a connect to a server comes to. `'timeout'`: nobody answers, and the
 * connect time-out passes with the virtual clock.
 */
export type ServerOutcome =
  | 'accept'
  | 'refuse'
  | 'unreachable'
  | 'timeout'
  | ServerTlsFailure
  | ServerScript

/** One outcome, or one for each attempt of a connection; the last one is repeated. */
export type ServerBehaviour = ServerOutcome | readonly ServerOutcome[]

/** Behaviour by 'backend/server'. A server that is not named accepts and is silent. */
export type Servers<N extends string = string> = { readonly [Name in N]?: ServerBehaviour }

const FAILURES = {
  refuse: { code: Code.REFUSED, errno: 111 },
  unreachable: { code: Code.UNREACHABLE, errno: 113 },
  timeout: 'pending',
  untrusted: { code: Code.TLS_CERT_UNTRUSTED },
  expired: { code: Code.TLS_CERT_EXPIRED },
  'wrong-name': { code: Code.TLS_CERT_NAME },
  revoked: { code: Code.TLS_CERT_REVOKED },
  // handshake_failure
  alert: { code: Code.TLS_ALERT, errno: 40 },
} as const satisfies Record<string, ConnectOutcome>

/** Lets the server do what it does with attempt `attempt`, from 0, of `client`. */
export function playServer(
  client: TestClient,
  behaviour: ServerBehaviour,
  attempt: number,
): ConnectOutcome {
  const outcome = isList(behaviour) ? (behaviour[attempt] ?? behaviour.at(-1)) : behaviour
  if (typeof outcome === 'string' && outcome !== 'accept') return FAILURES[outcome]
  listen(client, typeof outcome === 'object' ? outcome : {})
  return 'ok'
}

function isList(behaviour: ServerBehaviour): behaviour is readonly ServerOutcome[] {
  return Array.isArray(behaviour)
}

function listen(client: TestClient, script: ServerScript): void {
  const { greeting, reply, end, allowHalfOpen = false } = script
  let replied = false
  const finish = () => {
    if (end === 'fin') client.serverFin()
    else if (end === 'reset') client.serverReset()
  }
  client.reactions.connected = () => {
    if (greeting !== undefined) client.serverSend(greeting)
    if (reply === undefined) finish()
  }
  client.reactions.serverBytes = () => {
    if (reply === undefined || (replied && typeof reply !== 'function')) return
    const received = Buffer.from(client.serverReceived)
    const bytes = typeof reply === 'function' ? reply(received) : reply
    if (bytes === undefined) return
    replied = true
    client.serverSend(bytes)
    finish()
  }
  client.reactions.serverFin = () => {
    if (!allowHalfOpen) client.serverFin()
  }
}
