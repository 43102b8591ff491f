/**
 * Runs an applet on a connection: its stream over the engine's data, credit,
 * send and sent, with back-pressure in both directions.
 */

import { packReason } from '../connection/reason.js'
import type { Engine } from '../engine/engine.js'
import { By, BytesFlag, CloseMode, Code, Layout, Phase } from '../engine/wire.js'
import { SluiceError } from '../errors.js'
import type { ClientConnection } from '../session/connection.js'
import type { Applet, AppletStream } from './applet.js'

/** Bytes in flight in either direction. */
export const APPLET_WINDOW = 65_536

const EMPTY = new Uint8Array(0)
const encoder = new TextEncoder()

interface Write {
  bytes: Uint8Array
  /** Bytes that the engine has. */
  taken: number
  resolve: () => void
  reject: (error: Error) => void
}

interface Read {
  resolve: (chunk: Uint8Array | undefined) => void
  reject: (error: Error) => void
}

export class AppletRuntime implements AppletStream {
  readonly #engine: Engine
  readonly #conn: ClientConnection
  readonly #applet: Applet
  readonly #chunks: Uint8Array[] = []
  readonly #reads: Read[] = []
  readonly #writes: Write[] = []
  #inFlight = 0
  /** The client's FIN came. */
  #eof = false
  /** end() was called; `#finSent` once the engine knows. */
  #ending = false
  #finSent = false
  /** The applet is done: what still comes is dropped. */
  #done = false
  #gone = false

  constructor(engine: Engine, conn: ClientConnection, applet: Applet) {
    this.#engine = engine
    this.#conn = conn
    this.#applet = applet
  }

  /** Takes the connection over and calls the applet. */
  start(): void {
    const { slot, generation } = this.#conn
    this.#engine.applet(slot, generation, APPLET_WINDOW, 0)
    let served: void | Promise<void>
    try {
      served = this.#applet.serve(this, this.#conn)
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
    return this.#conn.signal
  }

  read(): Promise<Uint8Array | undefined> {
    return handled(this.#read())
  }

  write(content: Uint8Array | string): Promise<void> {
    return handled(this.#write(content))
  }

  #read(): Promise<Uint8Array | undefined> {
    const chunk = this.#chunks.shift()
    if (chunk !== undefined) {
      this.#credit(chunk.length)
      return Promise.resolve(chunk)
    }
    if (this.#eof) return Promise.resolve(undefined)
    if (this.#gone) return Promise.reject(goneError())
    return new Promise((resolve, reject) => this.#reads.push({ resolve, reject }))
  }

  #write(content: Uint8Array | string): Promise<void> {
    const bytes = typeof content === 'string' ? encoder.encode(content) : content
    if (!(bytes instanceof Uint8Array)) {
      return Promise.reject(
        new SluiceError('ERR_SLUICE_ARGUMENT', 'an applet writes a Uint8Array or a string'),
      )
    }
    if (this.#gone) return Promise.reject(goneError())
    if (this.#ending) {
      return Promise.reject(new SluiceError('ERR_SLUICE_APPLET', 'write after end'))
    }
    return new Promise((resolve, reject) => {
      this.#writes.push({ bytes, taken: 0, resolve, reject })
      this.#pump()
    })
  }

  end(): Promise<void> {
    if (this.#gone) return handled(Promise.reject(goneError()))
    this.#ending = true
    this.#pump()
    return Promise.resolve()
  }

  reset(): void {
    if (this.#gone) return
    this.#close(packReason(By.POLICY, Phase.DATA, Code.KILLED), CloseMode.RESET)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (let chunk = await this.read(); chunk !== undefined; chunk = await this.read()) yield chunk
  }

  /** The engine has payload. `bytes` is valid during the call only. */
  data(bytes: Uint8Array, flags: number): void {
    if (bytes.length > 0) this.#received(bytes)
    if ((flags & BytesFlag.EOF) === 0) return
    this.#eof = true
    for (const read of this.#reads.splice(0)) read.resolve(undefined)
  }

  /** This much of what was sent left the engine. */
  sent(bytes: number): void {
    this.#inFlight -= bytes
    this.#pump()
  }

  /** The connection ended. */
  closed(): void {
    this.#gone = true
    for (const read of this.#reads.splice(0)) read.reject(goneError())
    for (const write of this.#writes.splice(0)) write.reject(goneError())
  }

  #received(bytes: Uint8Array): void {
    if (this.#done) {
      this.#credit(bytes.length)
      return
    }
    const chunk = bytes.slice()
    const read = this.#reads.shift()
    if (read === undefined) {
      this.#chunks.push(chunk)
    } else {
      read.resolve(chunk)
      this.#credit(chunk.length)
    }
  }

  #credit(bytes: number): void {
    if (this.#gone || this.#eof) return
    this.#engine.credit(this.#conn.slot, this.#conn.generation, bytes)
  }

  /** Hands writes to the engine while the window is open; a write resolves once it is handed over. */
  #pump(): void {
    if (this.#gone) return
    const { slot, generation } = this.#conn
    for (;;) {
      const write = this.#writes[0]
      if (write === undefined) break
      const left = write.bytes.length - write.taken
      if (left > 0) {
        const room = Math.min(APPLET_WINDOW - this.#inFlight, Layout.MAX_CHUNK)
        if (room <= 0) return
        const part = write.bytes.subarray(write.taken, write.taken + Math.min(left, room))
        this.#inFlight += part.length
        write.taken += part.length
        this.#engine.send(slot, generation, part, false)
        if (part.length < left) continue
      }
      this.#writes.shift()
      write.resolve()
    }
    if (this.#ending && !this.#finSent) {
      this.#finSent = true
      this.#engine.send(slot, generation, EMPTY, true)
    }
  }

  /** The applet returned: FIN after its last byte, then the client's FIN is awaited. */
  #served(): void {
    this.#done = true
    if (this.#gone) return
    this.#ending = true
    this.#pump()
    for (const chunk of this.#chunks.splice(0)) this.#credit(chunk.length)
  }

  #failed(error: unknown): void {
    this.#done = true
    // A read or write that failed because the client went away is no fault of the applet.
    if (this.#gone) return
    this.#conn.failed(
      'error',
      { err: error, applet: this.#applet.name },
      `applet ${this.#applet.name} failed`,
    )
    this.#close(packReason(By.POLICY, Phase.DATA, Code.APPLET_ERROR), CloseMode.CLOSE)
  }

  #close(reason: number, mode: number): void {
    this.#conn.decided = reason
    this.closed()
    this.#engine.close(this.#conn.slot, this.#conn.generation, reason, mode, 0)
  }
}

/** An applet that does not look at a promise must not end the process when it rejects. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

function goneError(): SluiceError {
  return new SluiceError('ERR_SLUICE_APPLET', 'the connection is gone')
}
