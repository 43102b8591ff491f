/** What the parts of the test engine share. */

import type { Clock } from '../../base/clock.js'
import type {
  DownstreamTlsSpec,
  EventName,
  RouteSpec,
  UpstreamTlsSpec,
} from '../../engine/engine.js'
import type { EngineEvent } from '../../engine/event.js'
import type { ConnectionTable } from '../../wire/table.js'
import type { TestClient } from './client.js'

/**
 * What becomes of a connect: `'pending'` waits for `TestClient.connectOk` or
 * `connectFail`, and fails at the route's connect time-out.
 */
export type ConnectOutcome = 'ok' | 'pending' | { code: number; errno?: number }

/** A context that was made, until it is forgotten. */
export type TestContext =
  | { readonly side: 'server'; readonly spec: DownstreamTlsSpec }
  | { readonly side: 'client'; readonly spec: UpstreamTlsSpec }

/** What becomes of a handshake that policy lets begin: `'pending'` waits for `TestClient.handshakeOk`. */
export type HandshakeOutcome = 'ok' | 'pending' | { code: number; errno?: number }

export interface Parts {
  readonly clock: Clock
  readonly table: ConnectionTable
  readonly routes: ReadonlyMap<number, RouteSpec>
  readonly contexts: ReadonlyMap<number, TestContext>
  readonly onConnect: (client: TestClient, route: number) => ConnectOutcome
  readonly onHandshake: (client: TestClient, context: number) => HandshakeOutcome
  lateVerdicts: number
  now(): number
  /** Runs `fn` after whatever is being handled; everything it causes has happened on return. */
  run(fn: () => void): void
  tell(client: TestClient, name: EventName, fields: Partial<EngineEvent>): void
  end(client: TestClient, reason: number, errno: number): void
}
