/** What others use of the flow beside its core. */

export type { AttemptRecord, EndRecord, SessionRecord, TlsRecord } from './record/record.js'
export { isThenable } from './rules/runner.js'
export type { Session } from './session/session.js'
export type { Sides } from './session/sides.js'
export { type SiStateName, SiStateNames } from './session/state.js'
