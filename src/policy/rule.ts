/** Rules, and the verdicts that they answer. */

import type { Duration } from '../base/units.js'
import type { Names } from './names.js'
import type { Connection } from './types.js'
import { type Kind, madeBy } from './verdict.js'
import type { Track, UseBackend, UseServer } from './verdicts.js'
import * as constructors from './verdicts.js'

type Made<F> = F extends (...args: never) => infer V ? Extract<V, { readonly kind: string }> : never

/** What a rule answers. `undefined` goes on with the next rule. */
export type Verdict = Made<(typeof constructors)[keyof typeof constructors]>

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

// biome-ignore lint/suspicious/noConfusingVoidType: a function without a return statement is an answer
export type Sync<T> = T | undefined | void
/** A verdict that names nothing else than these. */
export type VerdictAmong<N extends Names> =
  | Exclude<Verdict, UseBackend | UseServer | Track>
  | UseBackend<NoInfer<N['backend']>>
  | UseServer<NoInfer<N['backend']>>
  | Track<NoInfer<N['table']>>

/** A rule may answer with one verdict, several, or none; at once or by promise. */
export type RuleAnswer<N extends Names = Names> = Sync<VerdictAmong<N> | readonly VerdictAmong<N>[]>

export type RuleFunction<C = Connection, N extends Names = Names> = (
  conn: C,
) => RuleAnswer<N> | Promise<RuleAnswer<N>>

/**
 * A rule: a function (its name is the rule's name), a constant verdict, or either with options.
 * `N`: names of the configuration that it is for; a rule without them is for any.
 */
export type Rule<C = Connection, N extends Names = Names> =
  | RuleFunction<C, N>
  | VerdictAmong<N>
  | {
      name: string
      run: RuleFunction<C, N>
      /** Longest time for an answer: '250ms'. Default: global.verdictTimeout. */
      deadline?: Duration
      /** When it throws, rejects or is late. Default: the frontend's onError. */
      onError?: 'close' | 'open'
    }

/** Rules of one stage. `[]` has the compiler look at each by itself: its error is at its place. */
export type Rules<C = Connection, N extends Names = Names> = Rule<C, N>[] | []
