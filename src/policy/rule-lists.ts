/** The lists of rules of a frontend: a row for each. */

import type { ClientHello } from '../codec/tls.js'
import type { Connection, FirstBytes, TlsInfo } from './types.js'

interface Row<C> {
  /** In errors. */
  readonly title: string
  readonly doc: string
  /** `C` in TypeScript, where it is not every connection. */
  readonly subject?: string
  /** For the compiler alone: `C`. */
  readonly sees?: readonly [C]
}

function row<C = Connection>(row: Row<C>): Row<C> {
  return row
}

type Hello = Connection & { readonly hello: ClientHello }
type Secured = Connection & { readonly tls: TlsInfo }

/** In the order in which they run. */
export const ruleLists = {
  connection: row({
    title: 'connection rules',
    doc: 'Rules right after the PROXY header, before a session exists.',
  }),
  clientHello: row<Hello>({
    title: 'ClientHello rules',
    doc: 'Rules with the ClientHello: they may choose certificate, client certificate demand and backend, let it through, or reject.',
    subject: 'Connection & { readonly hello: ClientHello }',
  }),
  secured: row<Secured>({
    title: 'rules on completed TLS',
    doc: 'Rules when TLS is complete, before the session: certificate, cipher and version are in `conn.tls`.',
    subject: 'Connection & { readonly tls: TlsInfo }',
  }),
  handshake: row<FirstBytes>({
    title: 'handshake rules',
    doc: 'Rules with the first bytes, behind TLS those that were decrypted: they may wait for more, take bytes away or put others in their place, answer, and start TLS.',
    subject: 'FirstBytes',
  }),
  session: row({
    title: 'session rules',
    doc: 'Rules when the session is made.',
  }),
}

type Lists = typeof ruleLists
/** A list of rules by its key in the configuration. */
export type RuleList = keyof Lists
/** What rules of a list see. */
export type SeenBy<K extends RuleList> = NonNullable<Lists[K]['sees']>[0]

export const ruleListNames = Object.keys(ruleLists) as RuleList[]
