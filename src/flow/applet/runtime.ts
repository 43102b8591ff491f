/**
 * Runs an applet on a connection: its stream over the engine's data, credit,
 * send and sent, with back-pressure in both directions.
 */

import { SluiceError } from '../../base/errors.js'
import type { Applet, AppletStream } from '../../policy/applet.js'
import { packReason } from '../../wire/reason.js'
import { By, BytesFlag, CloseMode, Code, Layout, Phase } from '../../wire/wire.js'
import type { SessionClient } from '../session/client.js'
import { Fifo, type FifoItem } from './fifo.js'
import { Unread } from './unread.js'

/** Bytes in flight in either direction. */
const APPLET_WINDOW = 65_536

const EMPTY = new Uint8Array(0)
const encoder = new TextEncoder()

type Result = IteratorResult<Uint8Array, undefined>

/** A loop over the chunks. */
class Chunks implements AsyncIterator<Uint8Array, undefined> {
  readonly #runtime: AppletRuntime

  constructor(runtime: AppletRuntime) {
    this.#runtime = runtime
  }

  next(): Promise<Result> {
    return this.#runtime.nextResult()
  }

  return(): Promise<Result> {
    return Promise.resolve(resultOf(undefined))
  }
}

/** What the applet holds: the members of `AppletStream` and no others, also at run time. */
class Stream implements AppletStream {
  readonly #runtime: AppletRuntime

  constructor(runtime: AppletRuntime) {
    this.#runtime = runtime
  }

  get signal(): AbortSignal {
    return this.#runtime.signal
  }

  read(): Promise<Uint8Array | undefined> {
    return this.#runtime.read()
  }

  write(content: Uint8Array | string): Promise<void> {
    return this.#runtime.write(content)
  }

  end(): Promise<void> {
    return this.#runtime.end()
  }

  reset(): void {
    this.#runtime.reset()
  }

  /** Leaving the loop does not end the stream: what follows is there for the next read. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return new Chunks(this.#runtime)
  }
}

/** A call that waits. Classes, since objects of a shape of their own cost V8 a map each. */
class Waiting<T> {
  readonly promise: Promise<T>
  /** What rejects is resolved by a rejection. */
  resolve: (value: T | Promise<never>) => void = ignore

  constructor() {
    this.promise = new Promise((resolve) => {
      this.resolve = resolve
    })
  }

  reject(): void {
    this.promise.catch(ignore)
    this.resolve(rejected(goneError()))
  }
}

class Write extends Waiting<void> implements FifoItem<Write> {
  next: Write | undefined = undefined
  readonly bytes: Uint8Array
  /** Bytes that the engine has. */
  taken = 0

  constructor(bytes: Uint8Array) {
    super()
    this.bytes = bytes
  }
}

type Read = ChunkRead | ResultRead

/** A call of `read`. */
class ChunkRead extends Waiting<Uint8Array | undefined> implements FifoItem<Read> {
  next: Read | undefined = undefined

  answer(chunk: Uint8Array | undefined): void {
    this.resolve(chunk)
  }
}

/** A call of an iterator's `next`. */
class ResultRead extends Waiting<Result> implements FifoItem<Read> {
  next: Read | undefined = undefined

  answer(chunk: Uint8Array | undefined): void {
    this.resolve(resultOf(chunk))
  }
}

/**
 * Idle sessions are what there may be many of, so that what each of them holds is kept small:
 * no arrays, no promise beside the one that the applet awaits, no generator for its loop.
 */
export class AppletRuntime {
  readonly #client: SessionClient
  readonly #applet: Applet
  /** What came while nobody read; undefined while nothing did. */
  #unread: Unread | undefined = undefined
  readonly #reads = new Fifo<Read>()
  readonly #writes = new Fifo<Write>()
  #inFlight = 0
  /** The client's FIN came. */
  #eof = false
  /** end() was called; `#finSent` once the engine knows. */
  #ending = false
  #finSent = false
  /** The applet is done: what still comes is dropped. */
  #done = false
  #gone = false

  constructor(client: SessionClient, applet: Applet) {
    this.#client = client
    this.#applet = applet
  }

  /** Takes the connection over and calls the applet. */
  start(): void {
    const { slot, generation, context } = this.#client
    context.engine.applet(slot, generation, APPLET_WINDOW, this.#client.takeConsumed())
    let served: void | Promise<void>
    try {
      served = this.#applet.serve(new Stream(this), this.#client.subject)
    } catch (error) {
      this.#failed(error)
      return
    }
    Promise.resolve(served).then(
      () => this.#served(),
      (error: unknown) => this.#failed(error),
    )
  }

  get signal(): AbortSignal {
    return this.#client.signal
  }

  read(): Promise<Uint8Array | undefined> {
    const chunk = this.#take()
    if (chunk !== undefined || this.#eof) return Promise.resolve(chunk)
    if (this.#gone) return rejected(goneError())
    const read = new ChunkRead()
    this.#reads.push(read)
    return read.promise
  }

  /** `read` for a loop. */
  nextResult(): Promise<Result> {
    const chunk = this.#take()
    if (chunk !== undefined || this.#eof) return Promise.resolve(resultOf(chunk))
    if (this.#gone) return rejected(goneError())
    const read = new ResultRead()
    this.#reads.push(read)
    return read.promise
  }

  /** What arrived while nobody read. */
  #take(): Uint8Array | undefined {
    const chunk = this.#unread?.take()
    this.#unread = undefined
    if (chunk !== undefined) this.#credit(chunk.length)
    return chunk
  }

  write(content: Uint8Array | string): Promise<void> {
    const bytes = typeof content === 'string' ? encoder.encode(content) : content
    if (!(bytes instanceof Uint8Array)) {
      return rejected(
        new SluiceError('ERR_SLUICE_ARGUMENT', 'an applet writes a Uint8Array or a string'),
      )
    }
    if (this.#gone) return rejected(goneError())
    if (this.#ending) return rejected(new SluiceError('ERR_SLUICE_APPLET', 'write after end'))
    const write = new Write(bytes)
    this.#writes.push(write)
    this.#pump()
    return write.promise
  }

  end(): Promise<void> {
    if (this.#gone) return rejected(goneError())
    this.#ending = true
    this.#pump()
    return Promise.resolve()
  }

  reset(): void {
    if (this.#gone) return
    this.#close(packReason(By.POLICY, Phase.DATA, Code.KILLED), CloseMode.RESET)
  }

  /** The engine has payload. `bytes` is valid during the call only. */
  data(bytes: Uint8Array, flags: number): void {
    if (bytes.length > 0) this.#received(bytes)
    if ((flags & BytesFlag.EOF) === 0) return
    this.#eof = true
    for (let read = this.#reads.shift(); read; read = this.#reads.shift()) read.answer(undefined)
  }

  /** This much of what was sent left the engine. */
  sent(bytes: number): void {
    this.#inFlight -= bytes
    this.#pump()
  }

  /** The connection ended. */
  closed(): void {
    this.#gone = true
    for (let read = this.#reads.shift(); read; read = this.#reads.shift()) read.reject()
    for (let write = this.#writes.shift(); write; write = this.#writes.shift()) write.reject()
  }

  #received(bytes: Uint8Array): void {
    if (this.#done) {
      this.#credit(bytes.length)
      return
    }
    const read = this.#reads.shift()
    if (read === undefined) {
      this.#unread ??= new Unread()
      this.#unread.add(bytes)
    } else {
      read.answer(bytes.slice())
      this.#credit(bytes.length)
    }
  }

  #credit(bytes: number): void {
    if (this.#gone || this.#eof) return
    const { slot, generation, context } = this.#client
    context.engine.credit(slot, generation, bytes)
  }

  /** Hands writes to the engine while the window is open; a write resolves once it is handed over. */
  #pump(): void {
    if (this.#gone) return
    const { slot, generation, context } = this.#client
    const { engine } = context
    for (;;) {
      const write = this.#writes.first
      if (write === undefined) break
      const left = write.bytes.length - write.taken
      if (left > 0) {
        const room = Math.min(APPLET_WINDOW - this.#inFlight, Layout.MAX_CHUNK)
        if (room <= 0) return
        const part = write.bytes.subarray(write.taken, write.taken + Math.min(left, room))
        this.#inFlight += part.length
        write.taken += part.length
        engine.send(slot, generation, part, false)
        if (part.length < left) continue
      }
      this.#writes.shift()
      write.resolve(undefined)
    }
    if (this.#ending && !this.#finSent) {
      this.#finSent = true
      engine.send(slot, generation, EMPTY, true)
    }
  }

  /** The applet returned: FIN after its last byte, then the client's FIN is awaited. */
  #served(): void {
    this.#done = true
    if (this.#gone) return
    this.#ending = true
    this.#pump()
    this.#take()
  }

  #failed(error: unknown): void {
    this.#done = true
    // A read or write that failed because the client went away is no fault of the applet.
    if (this.#gone) return
    this.#client.failed(
      'error',
      { err: error, applet: this.#applet.name },
      `applet ${this.#applet.name} failed`,
    )
    this.#close(packReason(By.POLICY, Phase.DATA, Code.APPLET_ERROR), CloseMode.CLOSE)
  }

  #close(reason: number, mode: number): void {
    this.closed()
    this.#client.close(reason, mode)
  }
}

function resultOf(chunk: Uint8Array | undefined): Result {
  return chunk === undefined ? { done: true, value: undefined } : { done: false, value: chunk }
}

/** An applet that does not look at a promise must not end the process when it rejects. */
function rejected(error: SluiceError): Promise<never> {
  const promise = Promise.reject(error)
  promise.catch(ignore)
  return promise
}

function ignore(): void {}

function goneError(): SluiceError {
  return new SluiceError('ERR_SLUICE_APPLET', 'the connection is gone')
}
