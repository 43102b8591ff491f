/** Who watches policy and sessions at work: metrics, tests, the trace. */

import type { BackendClient, Pick } from '../backend/pick.js'
import type { RuleObserver } from './rules/runner.js'
import type { Sides } from './session/sides.js'

/** Each field is undefined while nobody watches, and costs nothing then. What it calls must not throw. */
export class Observer implements RuleObserver {
  /** A rule was called. */
  onRule: RuleObserver['onRule'] = undefined
  /** A backend was asked for a server. */
  onPick: ((client: BackendClient, choice: Pick) => void) | undefined = undefined
  /** A side of a session changed its state. */
  onTransition: ((session: Sides, side: 0 | 1, from: number, to: number) => void) | undefined =
    undefined
}
