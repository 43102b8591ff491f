/** A connection whose payload goes to an applet, by credit. */

import { packReason } from '../../wire/reason.js'
import { By, BytesFlag, Code, Layout, Phase } from '../../wire/wire.js'
import type { ListenSpec } from '../engine.js'
import { Exchange } from '../model/exchange.js'
import { Inactivity } from '../model/inactivity.js'
import type { OwnTimeouts } from '../model/own-timeouts.js'
import type { Chunks } from './chunks.js'
import { streamFailure } from './reason.js'
import type { Shared } from './shared.js'
import type { Side, SideHandler } from './side.js'
import { WatchedSide } from './watch.js'

const EMPTY = new Uint8Array(0)

/** Told exactly once how the stream ended. The side may still be open then. */
export interface AppletOwner {
  appletEnded(reason: number, errno: number): void
}

export class AppletStream implements SideHandler {
  readonly #shared: Shared
  readonly #owner: AppletOwner
  readonly #side: Side
  /** Payload for which there is no credit yet. */
  readonly #input: Chunks
  readonly #exchange: Exchange
  readonly #inactivity: Inactivity<WatchedSide>
  #credit: number
  #eofTold = false
  #ended = false
  #delivering = false

  constructor(
    shared: Shared,
    owner: AppletOwner,
    side: Side,
    input: Chunks,
    listen: ListenSpec,
    own: OwnTimeouts | undefined,
    credit: number,
  ) {
    this.#shared = shared
    this.#owner = owner
    this.#side = side
    this.#input = input
    this.#exchange = new Exchange(listen, undefined, own)
    this.#credit = credit
    // An applet that takes nothing is itself the one that is slow.
    const limit = () => this.#exchange.limit(By.CLIENT)
    const watched = new WatchedSide(side, limit, () => this.#credit > 0)
    this.#inactivity = new Inactivity(shared, [watched], () => {
      this.#end(packReason(By.TIMEOUT, this.phase, this.#exchange.timeoutCode(By.CLIENT)), 0)
    })
  }

  get phase(): number {
    return this.#exchange.phase
  }

  /** The connection has time-outs of its own now. */
  use(own: OwnTimeouts): void {
    this.#exchange.own = own
  }

  /** Some of them may be other ones now. */
  retime(): void {
    this.#inactivity.check()
  }

  start(): void {
    const side = this.#side
    side.handler = this
    side.activity = this.#shared.now()
    if (side.eof) this.#exchange.ends(By.CLIENT)
    this.#inactivity.check()
    this.#deliverLater()
  }

  credit(bytes: number): void {
    if (this.#credit <= 0) this.#side.activity = this.#shared.now()
    this.#credit += bytes
    this.#deliverLater()
  }

  send(bytes: Uint8Array, fin: boolean): void {
    const side = this.#side
    if (side.shut || side.closed) return
    if (bytes.length > 0) {
      const copy = Buffer.from(bytes)
      side.activity = this.#shared.now()
      side.write(copy, (error) => {
        if (error || this.#ended) return
        side.activity = this.#shared.now()
        const event = this.#shared.dispatch.about(side.slot, side.generation)
        event.sent = copy.length
        this.#shared.dispatch.tell('sent', event)
      })
    }
    if (fin) {
      this.#exchange.ends(By.POLICY)
      side.shutdown()
      this.#inactivity.check()
    }
  }

  data(side: Side, chunk: Buffer): void {
    side.activity = this.#shared.now()
    this.#input.push(chunk)
    this.#deliver()
  }

  end(side: Side): void {
    side.activity = this.#shared.now()
    this.#exchange.ends(By.CLIENT)
    this.#deliver()
    this.#inactivity.check()
  }

  drain(side: Side): void {
    side.activity = this.#shared.now()
  }

  gone(side: Side): void {
    if (side.error) {
      const { by, code, errno } = streamFailure(side.error, By.CLIENT)
      this.#end(packReason(by, this.phase, code), errno)
    } else if (side.truncated) {
      const phase = this.#exchange.firstFin === By.CLIENT ? Phase.DATA : Phase.CLOSE
      this.#end(packReason(By.CLIENT, phase, Code.TLS_TRUNCATED), 0)
    } else {
      this.#end(packReason(this.#exchange.firstFin || By.CLIENT, Phase.DATA, Code.DONE), 0)
    }
  }

  stop(): void {
    this.#ended = true
    this.#inactivity.stop()
  }

  #deliverLater(): void {
    queueMicrotask(() => this.#deliver())
  }

  #deliver(): void {
    // A handler that gives credit from within `data` must not come before its own return.
    if (this.#delivering || this.#ended) return
    this.#delivering = true
    while (this.#credit > 0 && this.#input.length > 0 && !this.#ended) {
      const chunk = this.#input.shift(Math.min(this.#credit, Layout.MAX_CHUNK)) as Buffer
      this.#credit -= chunk.length
      const last = this.#side.eof && this.#input.length === 0
      if (last) this.#eofTold = true
      this.#tell(chunk, last ? BytesFlag.EOF : 0)
    }
    this.#delivering = false
    if (this.#ended) return
    if (this.#side.eof && !this.#eofTold && this.#input.length === 0) {
      this.#eofTold = true
      this.#tell(EMPTY, BytesFlag.EOF)
    }
    if (this.#input.length > 0) this.#side.pause()
    else this.#side.resume()
  }

  #tell(bytes: Uint8Array, flags: number): void {
    const { dispatch } = this.#shared
    const event = dispatch.about(this.#side.slot, this.#side.generation)
    event.bytes = bytes
    event.flags = flags
    dispatch.tell('data', event)
  }

  #end(reason: number, errno: number): void {
    if (this.#ended) return
    this.stop()
    this.#owner.appletEnded(reason, errno)
  }
}
