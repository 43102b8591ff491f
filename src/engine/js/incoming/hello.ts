/** The ClientHello of a client, or what it sent in its place, while policy decides about it. */

import { type Framed, HelloReader } from '../../../codec/tls.js'
import { HelloStatus } from '../../../wire/wire.js'
import type { EngineEvent } from '../../event.js'

/** Bytes that policy sees of what is no ClientHello. */
const SHOWN = 1024
const NO_BYTES = new Uint8Array(0)

export class AwaitedHello {
  readonly #reader = new HelloReader()
  #framed: Framed | undefined

  /** It is there, or something else is. */
  get there(): boolean {
    return this.#framed !== undefined
  }

  /** Looks at everything that came so far. True once it is there. */
  look(bytes: Uint8Array): boolean {
    const framed = this.#reader.goOn(bytes)
    if (framed.status === undefined) return false
    const complete = framed.status === HelloStatus.COMPLETE
    this.#framed = complete ? framed : { ...framed, message: bytes.subarray(0, SHOWN) }
    return true
  }

  /** The client says nothing: without TLS its server may speak first. */
  silent(): void {
    this.#framed = { message: NO_BYTES, status: HelloStatus.NOT_TLS }
  }

  /** Puts it into the question about it. */
  fill(event: EngineEvent): void {
    event.bytes = this.#framed?.message ?? NO_BYTES
    event.hello = this.#framed?.status ?? HelloStatus.MALFORMED
  }

  forget(): void {
    this.#framed = undefined
  }
}
