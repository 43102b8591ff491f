/** What became of a connection under test. */

import { inspect } from 'node:util'
import type { Clock } from '../base/clock.js'
import type { TlsInfo } from '../policy/types.js'
import type { Variables } from '../policy/vars.js'
import { type Reason, reasonCode, unpackReason } from '../wire/reason.js'
import { Code, Field } from '../wire/wire.js'
import type { ConnectionHost, TestConnection } from './connection.js'
import type { TestEngine } from './engine/engine.js'
import type { LogRecord } from './log.js'
import type { PolicyStep } from './steps.js'
import type { TableChange } from './tables.js'
import type { TestCertificateChoice, TestCertificates } from './tls/certificates.js'
import type { TestTransition, Trail } from './trail.js'

/**
 * - `accepted`: payload flows or flowed, to a server or an applet
 * - `rejected`: a rule, a handler or the list of trusted proxies said no
 * - `reset`: the same, with RST
 * - `tarpitted`: held, or held until its end
 * - `replied`: a reply was sent in place of service
 * - `closed`: ended for another reason; `reason` says which
 * - `pending`: nothing is decided yet; time or bytes are missing
 */
export type TestVerdict =
  | 'accepted'
  | 'rejected'
  | 'reset'
  | 'tarpitted'
  | 'replied'
  | 'closed'
  | 'pending'

/** What results need of their proxy. */
export interface ResultHost extends ConnectionHost {
  readonly clock: Clock
  readonly engine: TestEngine
  readonly certificates: TestCertificates
}

/** What became of a connection's TLS. */
export interface TestTls {
  /** The name that the client asked for; '' for none. */
  readonly serverName: string
  /** It went to the backend as it was. */
  readonly passthrough: boolean
  /** What policy chose; undefined where it chose nothing. */
  readonly certificate: TestCertificateChoice | undefined
  /** The client's handshake, once it is complete: `conn.tls` of policies. */
  readonly info: TlsInfo | undefined
  /** Name that the server was asked for, where TLS goes on to it. */
  readonly upstreamName: string | undefined
}

/** For `TestProxy.connect`. */
export let newTestResult: (trail: Trail, connection: TestConnection, host: ResultHost) => TestResult

/** A live view: what it says is as of now, also while the connection goes on. */
export class TestResult {
  static {
    newTestResult = (trail, connection, host) => new TestResult(trail, connection, host)
  }

  /** The two ends, to go on with. */
  readonly connection: TestConnection
  readonly #trail: Trail
  readonly #host: ResultHost

  private constructor(trail: Trail, connection: TestConnection, host: ResultHost) {
    this.connection = connection
    this.#trail = trail
    this.#host = host
  }

  get verdict(): TestVerdict {
    const { client } = this.#trail
    if (client === undefined) return 'pending'
    if (client.established) return 'accepted'
    if (!client.ended && client.mode !== 'closing') return 'pending'
    switch (reasonCode(client.reason)) {
      case Code.REJECTED:
        return client.resetReceived ? 'reset' : 'rejected'
      case Code.PROXY_UNTRUSTED:
        return 'rejected'
      case Code.TARPIT:
        return 'tarpitted'
      case Code.REPLIED:
      case Code.PLAIN_HTTP:
      case Code.MONITOR:
      case Code.HEALTH:
        return 'replied'
      default:
        return 'closed'
    }
  }

  /** The connection has not ended. */
  get open(): boolean {
    return this.connection.open
  }

  /** The connection's id in logs; undefined where policy never heard of it. */
  get id(): string | undefined {
    return this.#trail.id
  }

  /** Rule that decided last. */
  get rule(): string | undefined {
    const { record, conn } = this.#trail
    return record ? record.rule : conn?.rule
  }

  /** Every rule and handler that was called, in order, with its answer. */
  get steps(): readonly PolicyStep[] {
    return this.#trail.steps
  }

  get backend(): string | undefined {
    const { record, conn } = this.#trail
    return record ? record.backend : (conn?.course?.backend ?? conn?.backend)?.name
  }

  /** The server whose slot is held, or was held last. */
  get server(): string | undefined {
    const { record, conn } = this.#trail
    return record ? record.server : conn?.course?.server?.name
  }

  /** Servers that were connected to, in order, as 'backend/server'. */
  get attempts(): readonly string[] {
    return this.#trail.attempts
  }

  /** What the client got. */
  get reply(): Buffer {
    return Buffer.from(this.#trail.client?.received ?? [])
  }

  /** What the client got, as UTF-8. */
  get replyText(): string {
    return this.reply.toString()
  }

  /** What the server got, a PROXY header included. */
  get sent(): Buffer {
    return Buffer.from(this.#trail.client?.serverReceived ?? [])
  }

  /** What the server got, as UTF-8. */
  get sentText(): string {
    return this.sent.toString()
  }

  /** What became of TLS; undefined where neither side has any. */
  get tls(): TestTls | undefined {
    const { client, conn } = this.#trail
    if (client === undefined) return undefined
    const { engine, certificates } = this.#host
    const upstreamName = engine.routes.get(client.routes.at(-1) ?? -1)?.tls?.serverName
    const secure = conn?.secure
    if (secure?.hello === undefined && upstreamName === undefined) return undefined
    return {
      serverName: secure?.hello?.serverName ?? '',
      passthrough: secure?.passes ?? false,
      certificate: certificates.choiceOf(client.context),
      info: secure?.info,
      upstreamName,
    }
  }

  /** Variables that policy has set. */
  get vars(): Variables {
    return { ...this.#trail.conn?.vars }
  }

  /** What the connection changed in stick tables, one for each table and key. */
  get tables(): TableChange[] {
    return this.#trail.changes
  }

  /** Changes of the session's states. */
  get transitions(): readonly TestTransition[] {
    return this.#trail.transitions
  }

  /** ms. `queue`: waiting for a slot; `connect`: -1 where it is not connected; `total`: from accept. */
  get timers(): { queue: number; connect: number; total: number } {
    const { client, conn, record } = this.#trail
    if (record !== undefined) return record.timers
    if (client === undefined) return { queue: 0, connect: -1, total: 0 }
    const now = this.#host.clock.now()
    const queue = conn?.course?.queuedFor ?? 0
    const total = now - this.#host.engine.table.get(client.slot, Field.OPENED_AT)
    return { queue, connect: client.connectTime, total: client.ended ? 0 : total }
  }

  /** Log lines with the connection's id: those of its policy, and the one of its end. */
  get logs(): readonly LogRecord[] {
    return this.#trail.logs
  }

  /** Who ended it, doing what, and why; undefined while nothing is decided. */
  get reason(): Reason | undefined {
    const { client, record } = this.#trail
    if (record) return { by: record.by, phase: record.phase, code: record.code }
    if (client === undefined) return undefined
    return client.ended || client.mode === 'closing' ? unpackReason(client.reason) : undefined
  }

  /**
   * Waits for what policy awaits and the virtual clock does not bring: files,
   * sockets, promises of the test. Does not resolve while they do not.
   */
  async settled(): Promise<this> {
    await this.#host.settle()
    for (;;) {
      const promise = this.#trail.conn?.wait?.promise
      if (promise === undefined) return this
      await Promise.allSettled([promise])
      await this.#host.settle()
    }
  }

  /** A summary, for messages of failed assertions and for debugging. */
  toJSON(): Record<string, unknown> {
    const { verdict, rule, backend, server, replyText, sentText, vars, timers, reason, tls } = this
    const text = { verdict, reason, rule, backend, server, replyText, sentText, vars, timers }
    return tls === undefined ? text : { ...text, tls }
  }

  [inspect.custom](): string {
    return `TestResult ${inspect(this.toJSON(), { compact: false })}`
  }
}
