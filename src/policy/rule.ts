/** Rules, and the verdicts that they answer. */

import type { Duration, Size } from '../base/units.js'
import type { Names, NamesStage, StageOf } from './names.js'
import type { RuleList, SeenBy } from './rule-lists.js'
import type { Connection, FirstBytes } from './types.js'
import { type Kind, madeBy } from './verdict.js'
import type { Track, UseBackend, UseServer } from './verdicts.js'
import * as constructors from './verdicts.js'

type Made<F> = F extends (...args: never) => infer V ? Extract<V, { readonly kind: string }> : never

/** Each as its constructor gives it, with the stage that it is for. */
type Each = Made<(typeof constructors)[keyof typeof constructors]>

/** What a rule answers. `undefined` goes on with the next rule. */
export type Verdict = Anywhere<Each> | AtOne<Each, string>

export type VerdictKind = Verdict['kind']

/** A verdict of one kind. */
export type VerdictOf<K extends VerdictKind> = Extract<Verdict, { kind: K }>

/** Each kind of verdict by its name, which is that of its constructor. */
export const verdictKinds: ReadonlyMap<unknown, Kind> = new Map(
  Object.values(constructors).map((maker) => {
    const kind = madeBy(maker) as Kind
    return [kind.kind, kind]
  }),
)

/** Those verdicts that are for every stage. */
type Anywhere<V> = V extends unknown ? (unknown extends StageOf<V> ? V : never) : never

/** Those that are for one, as if for `S`: the compiler compares the two. */
type AtOne<V, S extends string> = V extends unknown
  ? unknown extends StageOf<V>
    ? never
    : Omit<V, keyof NamesStage> & NamesStage<S>
  : never

// biome-ignore lint/suspicious/noConfusingVoidType: a function without a return statement is an answer
export type Sync<T> = T | undefined | void
/** A verdict that names nothing else than these. */
export type VerdictAmong<N extends Names> =
  | Anywhere<Exclude<Verdict, UseBackend | UseServer | Track>>
  | AtOne<Each, N['stage']>
  | UseBackend<NoInfer<N['backend']>>
  | UseServer<NoInfer<N['backend']>>
  | Track<NoInfer<N['table']>>

/** A rule may answer with one verdict, several, or none; at once or by promise. */
export type RuleAnswer<N extends Names = Names> = Sync<VerdictAmong<N> | readonly VerdictAmong<N>[]>

export type RuleFunction<C = Connection, N extends Names = Names> = (
  conn: C,
) => RuleAnswer<N> | Promise<RuleAnswer<N>>

/** A function with a name and options. */
export interface NamedRule<C = Connection, N extends Names = Names> {
  name: string
  run: RuleFunction<C, N>
  /** Longest time for an answer: '250ms'. Default: global.verdictTimeout. */
  deadline?: Duration
  /** When it throws, rejects or is late. Default: the frontend's onError. */
  onError?: 'close' | 'open'
}

/**
 * A rule: a function (its name is the rule's name), a constant verdict, or either with options.
 * `N`: names of the configuration that it is for; a rule without them is for any.
 */
export type Rule<C = Connection, N extends Names = Names> =
  | RuleFunction<C, N>
  | VerdictAmong<N>
  | NamedRule<C, N>

/** Rules of one stage. `[]` has the compiler look at each by itself: its error is at its place. */
export type Rules<C = Connection, N extends Names = Names> = Rule<C, N>[] | []

/**
 * A handshake rule with a name and options. `deadline`: for all its calls together, and the
 * client's bytes; default '5s'. `onError`: also for a rule that wants more than there will be;
 * 'open' goes on with the next rule.
 */
export interface HandshakeRuleOptions<N extends Names = Names> extends NamedRule<FirstBytes, N> {
  /** Most bytes that it sees: '4kB' or a number of bytes, at most '64kB'. Default '16kB'. */
  limit?: Size | number
  /** It is called at once, without waiting for bytes: a greeting. Default false. */
  speaksFirst?: boolean
}

/** A rule on the first bytes. */
export type HandshakeRule<N extends Names = Names> =
  | RuleFunction<FirstBytes, N>
  | VerdictAmong<N>
  | HandshakeRuleOptions<N>

/** Rules on the first bytes, as `Rules`. */
export type HandshakeRules<N extends Names = Names> = HandshakeRule<N>[] | []

/** A rule of a list. */
export type RuleOf<K extends RuleList> = K extends 'handshake' ? HandshakeRule : Rule<SeenBy<K>>
