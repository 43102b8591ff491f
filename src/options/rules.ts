/** The lists of rules of a frontend: a row for each. */

import type { ClientHello } from '../codec/tls.js'
import type { Connection, Rule, TlsInfo } from '../policy/types.js'

interface Row<S extends string, C> {
  /** Where it stands in a frontend. */
  readonly section: S
  /** In errors. */
  readonly title: string
  readonly doc: string
  /** `C` in TypeScript, where it is not every connection. */
  readonly subject?: string
  /** For the compiler alone. */
  readonly rule?: Rule<C>
}

function row<const S extends string, C = Connection>(row: Row<S, C>): Row<S, C> {
  return row
}

type Content = Connection & { readonly payload: Uint8Array }
type Hello = Connection & { readonly hello: ClientHello }
type Secured = Connection & { readonly tls: TlsInfo }

/** In the order in which they run. */
export const ruleLists = {
  connection: row({
    section: 'tcpRequest',
    title: 'connection rules',
    doc: 'Rules right after the PROXY header, before a session exists.',
  }),
  clientHello: row<'tlsRequest', Hello>({
    section: 'tlsRequest',
    title: 'ClientHello rules',
    doc: 'Rules with the ClientHello: they may choose certificate, client certificate demand and backend, let it through, or reject.',
    subject: 'Connection & { readonly hello: ClientHello }',
  }),
  established: row<'tlsRequest', Secured>({
    section: 'tlsRequest',
    title: 'rules on established TLS',
    doc: 'Rules when TLS is complete, before the session: certificate, cipher and version are in `conn.tls`.',
    subject: 'Connection & { readonly tls: TlsInfo }',
  }),
  session: row({
    section: 'tcpRequest',
    title: 'session rules',
    doc: 'Rules when the session is made.',
  }),
  content: row<'tcpRequest', Content>({
    section: 'tcpRequest',
    title: 'content rules',
    doc: 'Rules with the first payload.',
    subject: 'Connection & { readonly payload: Uint8Array }',
  }),
}

type Lists = typeof ruleLists
/** A list of rules by its key in the configuration. */
export type RuleList = keyof Lists
export type RuleSection = Lists[RuleList]['section']
export type RuleOf<K extends RuleList> = NonNullable<Lists[K]['rule']>
/** Every list of rules that run. */
export type RuleLists = { [K in RuleList]: RuleOf<K>[] }
/** The lists of one section. */
export type ListsOf<S extends RuleSection> = {
  [K in RuleList]: Lists[K]['section'] extends S ? K : never
}[RuleList]

export const ruleListNames = Object.keys(ruleLists) as RuleList[]
