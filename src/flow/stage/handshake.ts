/**
 * The custom handlers of a frontend (HH_CUSTOM), one after another, each on what the one before
 * left. What a handler takes is dropped in the engine with its answer; bytes that were on their
 * way at that moment are of an older epoch and are not heard of.
 */

import type { HandshakeAnswer, HandshakeDone, HandshakeSend } from '../../policy/handler.js'
import { packReason } from '../../wire/reason.js'
import { By, BytesFlag, CloseMode, Code, Handshake, Phase } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { FlowContext } from '../context.js'
import type { CompiledHandler } from '../rules/compile.js'
import { isThenable } from '../rules/runner.js'
import { Wait, type Waiter } from '../rules/wait.js'
import type { Stage } from './stage.js'

const encoder = new TextEncoder()

/** The handlers under way on one connection. */
class HandlerRun extends Wait {
  /** Position of the handler whose turn it is. */
  index = 0
  /** Clock until which it may wait for bytes. */
  until = 0
}

export class Handshakes implements Stage<ClientConnection>, Waiter<ClientConnection> {
  readonly bit = Handshake.CUSTOM
  readonly phase = Phase.CUSTOM
  readonly #handlers: readonly CompiledHandler[]
  readonly #opens: boolean
  readonly #context: FlowContext

  /** `opens`: a handler that fails is skipped. */
  constructor(handlers: readonly CompiledHandler[], opens: boolean, context: FlowContext) {
    this.#handlers = handlers
    this.#opens = opens
    this.#context = context
  }

  enter(conn: ClientConnection): boolean {
    const run = new HandlerRun()
    conn.wait = run
    this.#inspect(conn, run, 0)
    return false
  }

  /** There are bytes for the handler whose turn it is. */
  bytes(conn: ClientConnection, bytes: Uint8Array, flags: number): void {
    const run = conn.wait
    // On its way while the last handler answered.
    if (!(run instanceof HandlerRun)) return
    const { deadline, limit } = this.#current(run)
    if ((flags & BytesFlag.EXPIRED) !== 0) {
      const left = run.until - this.#context.clock.now()
      // The clocks differ by a little; an expiry of the handler before comes right at the start.
      if (left < deadline / 2) {
        this.late(conn)
        return
      }
    }
    const eof = (flags & BytesFlag.EOF) !== 0
    if (bytes.length === 0 && !eof) return
    const inspection = conn.inspect()
    const shown = inspection.grow(bytes.length > limit ? bytes.subarray(0, limit) : bytes)
    const full = bytes.length >= limit
    inspection.flags = (eof ? BytesFlag.EOF : 0) | (full ? BytesFlag.FULL : 0)
    if (run.promise !== undefined) inspection.inbox = shown
    else this.#call(conn, shown)
  }

  answered(conn: ClientConnection, answer: unknown): void {
    this.#apply(conn, answer)
  }

  rejected(conn: ClientConnection, error: unknown): void {
    this.#failed(conn, error)
  }

  late(conn: ClientConnection): void {
    const { name, opens } = this.#current(runOf(conn))
    conn.rule = name
    if (opens) this.#next(conn, 0)
    else conn.close(packReason(By.TIMEOUT, Phase.CUSTOM, Code.HANDSHAKE_TIMEOUT))
  }

  #current(run: HandlerRun): CompiledHandler {
    return this.#handlers[run.index] as CompiledHandler
  }

  /** Asks for the bytes of the current handler, behind those that the one before took. */
  #inspect(conn: ClientConnection, run: HandlerRun, consume: number): void {
    const { limit, deadline } = this.#current(run)
    const { clock, engine } = this.#context
    run.until = clock.now() + deadline
    engine.inspect(conn.slot, conn.generation, limit, deadline, consume)
  }

  #call(conn: ClientConnection, bytes: Uint8Array): void {
    const run = runOf(conn)
    const { handler, name } = this.#current(run)
    const { clock, observer } = this.#context
    const inspection = conn.inspect()
    inspection.payload = bytes
    let answer: unknown
    let waits: boolean
    try {
      answer = handler.onBytes(conn.subject, bytes, {
        eof: inspection.has(BytesFlag.EOF),
        full: inspection.has(BytesFlag.FULL),
      })
      // Here: looking at `then` may run code of the policy.
      waits = isThenable(answer)
    } catch (error) {
      observer.onRule?.(conn, 'handshake', name, undefined, error)
      this.#failed(conn, error)
      return
    }
    observer.onRule?.(conn, 'handshake', name, answer)
    if (conn.over) return
    if (waits) {
      const promise = answer as PromiseLike<unknown>
      run.begin(conn, promise, Math.max(run.until - clock.now(), 1), clock, this)
    } else {
      this.#apply(conn, answer)
    }
  }

  #apply(conn: ClientConnection, value: unknown): void {
    if (conn.over) return
    const answer = value as HandshakeAnswer
    if (answer === 'more') {
      this.#more(conn)
      return
    }
    if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
      this.#failed(conn, new TypeError(`${String(value)} is no answer of a handshake handler`))
      return
    }
    const { name } = this.#current(runOf(conn))
    const stray = Object.keys(answer).find((key) => !ANSWER_KEYS.has(key))
    if (stray !== undefined) {
      this.#failed(conn, new TypeError(`an answer of a handshake handler has no '${stray}'`))
    } else if ('reject' in answer) {
      conn.rule = name
      const mode = answer.reject === 'reset' ? CloseMode.RESET : CloseMode.CLOSE
      conn.close(packReason(By.POLICY, Phase.CUSTOM, Code.REJECTED), mode)
    } else if ('send' in answer) {
      this.#send(conn, answer)
    } else if ('reply' in answer) {
      conn.rule = name
      const { reply } = answer
      const bytes = typeof reply === 'string' ? encoder.encode(reply) : reply
      if (bytes instanceof Uint8Array) {
        conn.reply(bytes, packReason(By.POLICY, Phase.CUSTOM, Code.REPLIED))
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
    const { engine, targets } = this.#context
    const { name } = this.#current(runOf(conn))
    const { consume = 0, backend, vars } = answer
    if (!this.#mayConsume(conn, consume, 0)) return
    if (backend !== undefined) {
      const chosen = targets.backends.get(backend)
      if (chosen === undefined) {
        this.#failed(conn, new TypeError(`there is no backend '${backend}'`))
        return
      }
      conn.backend = chosen
      conn.rule = name
    }
    if (vars !== undefined) Object.assign(conn.vars, vars)
    if (bytes !== undefined) engine.send(conn.slot, conn.generation, bytes, false)
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
    const run = runOf(conn)
    run.forget()
    conn.inspection = undefined
    const { slot, generation } = conn
    const { clock, engine } = this.#context
    const left = Math.max(Math.ceil(run.until - clock.now()), 1)
    engine.send(slot, generation, bytes, false)
    engine.inspect(slot, generation, this.#current(run).limit, left, consume)
  }

  #more(conn: ClientConnection): void {
    const inspection = conn.inspect()
    const newer = inspection.inbox
    inspection.inbox = undefined
    if (newer !== undefined) {
      this.#call(conn, newer)
      return
    }
    const { name } = this.#current(runOf(conn))
    if (inspection.has(BytesFlag.FULL)) {
      conn.rule = name
      conn.close(packReason(By.POLICY, Phase.CUSTOM, Code.HANDSHAKE_LIMIT))
    } else if (inspection.has(BytesFlag.EOF)) {
      conn.rule = name
      conn.close(packReason(By.CLIENT, Phase.CUSTOM, Code.ABORTED))
    }
  }

  #failed(conn: ClientConnection, error: unknown): void {
    const { name } = this.#current(runOf(conn))
    conn.rule = name
    conn.counts.policyErrors++
    conn.failed('error', { err: error, handler: name }, `handshake handler ${name} failed`)
    if (this.#opens) this.#next(conn, 0)
    else conn.close(packReason(By.POLICY, Phase.CUSTOM, Code.POLICY_ERROR))
  }

  /** On to the next handler, behind `consume` bytes. */
  #next(conn: ClientConnection, consume: number): void {
    const run = runOf(conn)
    run.forget()
    conn.inspection = undefined
    run.index++
    if (run.index < this.#handlers.length) {
      this.#inspect(conn, run, consume)
      return
    }
    conn.wait = undefined
    this.#context.engine.proceed(conn.slot, conn.generation, Handshake.CUSTOM, 0, consume)
  }
}

/** Precondition: handlers are under way. */
function runOf(conn: ClientConnection): HandlerRun {
  return conn.wait as HandlerRun
}

const ANSWER_KEYS: ReadonlySet<string> = new Set<
  keyof HandshakeDone | keyof HandshakeSend | 'reply' | 'reject'
>(['consume', 'backend', 'vars', 'send', 'done', 'reply', 'reject'])
/** Bytes that a handler may send at once: an empty socket takes as many without waiting. */
const MAX_SEND = 16_384
