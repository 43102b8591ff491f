/**
 * Runs the custom handlers of a frontend (HH_CUSTOM), one after another, each
 * on what the one before left.
 * What a handler takes is dropped in the engine with its answer; bytes that were
 * on their way at that moment are of an older epoch and are not heard of.
 */

import type { Clock } from '../../base/clock.js'
import type { Engine } from '../../engine/engine.js'
import type { HandshakeAnswer, HandshakeDone, HandshakeSend } from '../../policy/handler.js'
import { packReason } from '../../wire/reason.js'
import { By, BytesFlag, CloseMode, Code, Phase } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { CompiledHandler } from '../frontend.js'
import { isThenable, type RuleTargets } from '../rules/run.js'
import { type Guard, type Waiter, waitFor } from '../rules/wait.js'

export interface HandshakeHost {
  /** Every handler is done; the last one took `consume` of the bytes that are buffered. */
  handshakesDone(conn: ClientConnection, consume: number): void
  close(conn: ClientConnection, reason: number, mode?: number): void
  reply(conn: ClientConnection, bytes: Uint8Array, reason: number): void
}

const encoder = new TextEncoder()

export class CustomHandshakes implements Waiter {
  readonly #engine: Engine
  readonly #clock: Clock
  readonly #guard: Guard
  readonly #targets: RuleTargets
  readonly #host: HandshakeHost

  constructor(
    engine: Engine,
    clock: Clock,
    guard: Guard,
    targets: RuleTargets,
    host: HandshakeHost,
  ) {
    this.#engine = engine
    this.#clock = clock
    this.#guard = guard
    this.#targets = targets
    this.#host = host
  }

  start(conn: ClientConnection): void {
    conn.phase = Phase.CUSTOM
    conn.index = 0
    this.#inspect(conn, 0)
  }

  /** The engine has bytes for the current handler. `bytes` is valid during the call only. */
  bytes(conn: ClientConnection, bytes: Uint8Array, flags: number): void {
    // On its way while the last handler answered.
    if (conn.index >= conn.listener.frontend.handlers.length) return
    const { deadline, limit } = this.#current(conn)
    if ((flags & BytesFlag.EXPIRED) !== 0) {
      const left = conn.handlerUntil - this.#clock.now()
      // The clocks differ by a little; an expiry of the handler before comes right at the start.
      if (left < deadline / 2) {
        this.late(conn)
        return
      }
    }
    const eof = (flags & BytesFlag.EOF) !== 0
    if (bytes.length === 0 && !eof) return
    // The handler may keep them across a promise, and the engine's view does not last.
    const owned = conn.prefix.grow(bytes.length > limit ? bytes.subarray(0, limit) : bytes)
    const full = bytes.length >= limit
    conn.payloadFlags = (eof ? BytesFlag.EOF : 0) | (full ? BytesFlag.FULL : 0)
    if (conn.promise !== undefined) conn.inbox = owned
    else this.#call(conn, owned)
  }

  answered(conn: ClientConnection, answer: unknown): void {
    this.#apply(conn, answer)
  }

  rejected(conn: ClientConnection, error: unknown): void {
    this.#failed(conn, error)
  }

  late(conn: ClientConnection): void {
    const { name, opens } = this.#current(conn)
    conn.forget()
    conn.rule = name
    if (opens) this.#next(conn, 0)
    else this.#host.close(conn, packReason(By.TIMEOUT, Phase.CUSTOM, Code.HANDSHAKE_TIMEOUT))
  }

  #current(conn: ClientConnection): CompiledHandler {
    return conn.listener.frontend.handlers[conn.index] as CompiledHandler
  }

  /** Asks for the bytes of the current handler, behind those that the one before took. */
  #inspect(conn: ClientConnection, consume: number): void {
    const { limit, deadline } = this.#current(conn)
    conn.handlerUntil = this.#clock.now() + deadline
    this.#engine.inspect(conn.slot, conn.generation, limit, deadline, consume)
  }

  #call(conn: ClientConnection, bytes: Uint8Array): void {
    const { handler } = this.#current(conn)
    conn.payload = bytes
    let answer: unknown
    try {
      answer = handler.onBytes(conn, bytes, {
        eof: (conn.payloadFlags & BytesFlag.EOF) !== 0,
        full: (conn.payloadFlags & BytesFlag.FULL) !== 0,
      })
    } catch (error) {
      this.#failed(conn, error)
      return
    }
    if (!isThenable(answer)) {
      this.#apply(conn, answer)
      return
    }
    const left = Math.max(conn.handlerUntil - this.#clock.now(), 1)
    waitFor(conn, answer, left, this.#clock, this.#guard, this)
  }

  #apply(conn: ClientConnection, value: unknown): void {
    if (conn.decided !== 0 || conn.ended) return
    const answer = value as HandshakeAnswer
    if (answer === 'more') {
      this.#more(conn)
      return
    }
    if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
      this.#failed(conn, new TypeError(`${String(value)} is no answer of a handshake handler`))
      return
    }
    const { name } = this.#current(conn)
    const stray = Object.keys(answer).find((key) => !ANSWER_KEYS.has(key))
    if (stray !== undefined) {
      this.#failed(conn, new TypeError(`an answer of a handshake handler has no '${stray}'`))
    } else if ('reject' in answer) {
      conn.rule = name
      const mode = answer.reject === 'reset' ? CloseMode.RESET : CloseMode.CLOSE
      this.#host.close(conn, packReason(By.POLICY, Phase.CUSTOM, Code.REJECTED), mode)
    } else if ('send' in answer) {
      this.#send(conn, answer)
    } else if ('reply' in answer) {
      conn.rule = name
      const { reply } = answer
      const bytes = typeof reply === 'string' ? encoder.encode(reply) : reply
      if (bytes instanceof Uint8Array) {
        this.#host.reply(conn, bytes, packReason(By.POLICY, Phase.CUSTOM, Code.REPLIED))
      } else {
        this.#failed(conn, new TypeError('a reply must be a string or a Uint8Array'))
      }
    } else {
      this.#done(conn, answer)
    }
  }

  /** Whether `consume` is a number of bytes that the handler has seen; its failure where not. */
  #mayConsume(conn: ClientConnection, consume: number, least: number): boolean {
    const seen = conn.payload.length
    if (Number.isInteger(consume) && consume >= least && consume <= seen) return true
    this.#failed(conn, new RangeError(`consume is ${consume} of ${seen} bytes`))
    return false
  }

  /** `bytes` go to the client before anything else. */
  #done(conn: ClientConnection, answer: HandshakeDone, bytes?: Uint8Array): void {
    const { name } = this.#current(conn)
    const { consume = 0, backend, vars } = answer
    if (!this.#mayConsume(conn, consume, 0)) return
    if (backend !== undefined) {
      const chosen = this.#targets.backends.get(backend)
      if (chosen === undefined) {
        this.#failed(conn, new TypeError(`there is no backend '${backend}'`))
        return
      }
      conn.backend = chosen
      conn.rule = name
    }
    if (vars !== undefined) Object.assign(conn.vars, vars)
    if (bytes !== undefined) this.#engine.send(conn.slot, conn.generation, bytes, false)
    this.#next(conn, consume)
  }

  /** Sends, and is done or asks the same handler again with what is left. */
  #send(conn: ClientConnection, answer: HandshakeSend): void {
    const { send: content, done } = answer
    const bytes = typeof content === 'string' ? encoder.encode(content) : content
    if (!(bytes instanceof Uint8Array) || bytes.length > MAX_SEND) {
      const what = `a handler sends a string or a Uint8Array of at most ${MAX_SEND} bytes`
      this.#failed(conn, new TypeError(what))
      return
    }
    if (done) {
      this.#done(conn, answer, bytes)
      return
    }
    const { consume } = answer
    if (!this.#mayConsume(conn, consume, 1)) return
    conn.forget()
    conn.forgetPayload()
    const { slot, generation } = conn
    const left = Math.max(Math.ceil(conn.handlerUntil - this.#clock.now()), 1)
    this.#engine.send(slot, generation, bytes, false)
    this.#engine.inspect(slot, generation, this.#current(conn).limit, left, consume)
  }

  #more(conn: ClientConnection): void {
    const newer = conn.inbox
    conn.inbox = undefined
    if (newer !== undefined) {
      this.#call(conn, newer)
      return
    }
    const { name } = this.#current(conn)
    if ((conn.payloadFlags & BytesFlag.FULL) !== 0) {
      conn.rule = name
      this.#host.close(conn, packReason(By.POLICY, Phase.CUSTOM, Code.HANDSHAKE_LIMIT))
    } else if ((conn.payloadFlags & BytesFlag.EOF) !== 0) {
      conn.rule = name
      this.#host.close(conn, packReason(By.CLIENT, Phase.CUSTOM, Code.ABORTED))
    }
  }

  #failed(conn: ClientConnection, error: unknown): void {
    const { name } = this.#current(conn)
    conn.rule = name
    conn.listener.frontend.policyErrors++
    conn.failed('error', { err: error, handler: name }, `handshake handler ${name} failed`)
    if (conn.listener.frontend.opens) this.#next(conn, 0)
    else this.#host.close(conn, packReason(By.POLICY, Phase.CUSTOM, Code.POLICY_ERROR))
  }

  /** On to the next handler, behind `consume` bytes. */
  #next(conn: ClientConnection, consume: number): void {
    conn.forget()
    conn.forgetPayload()
    conn.index++
    if (conn.index < conn.listener.frontend.handlers.length) this.#inspect(conn, consume)
    else this.#host.handshakesDone(conn, consume)
  }
}

const ANSWER_KEYS: ReadonlySet<string> = new Set<
  keyof HandshakeDone | keyof HandshakeSend | 'reply' | 'reject'
>(['consume', 'backend', 'vars', 'send', 'done', 'reply', 'reject'])
/** Bytes that a handler may send at once: an empty socket takes as many without waiting. */
const MAX_SEND = 16_384
