/** Policy at work, as tests see it: which rules ran, and what they answered. */

import type { Config } from '../config/types.js'
import { isThenable } from '../flow/flow.js'
import type { Verdict } from '../policy/rule.js'

/** The stage of a rule. */
export type PolicyPhase = keyof NonNullable<Config['frontends'][string]['rules']>

/** One call of a rule. */
export interface PolicyStep {
  phase: PolicyPhase
  /** Name of the rule, as logs have it; the kind of a rule that is a verdict. */
  name: string
  /** What it answered; undefined where it had nothing to say, or has not answered yet. */
  answer: Verdict | readonly Verdict[] | undefined
  /** It threw, or its promise was rejected. */
  error?: unknown
  /** ms on the virtual clock when it was called. */
  at: number
}

/** Notes what a call answered, or threw; a promise's answer once it is there. */
export function noteAnswer(step: PolicyStep, answer: unknown, error: unknown): void {
  if (error !== undefined) step.error = error
  if (!isThenable(answer)) {
    step.answer = answer as PolicyStep['answer']
    return
  }
  // On the side: the core awaits the promise itself, at the time it would anyway.
  Promise.resolve(answer).then(
    (value) => {
      step.answer = value as PolicyStep['answer']
    },
    (reason: unknown) => {
      step.error = reason
    },
  )
}
