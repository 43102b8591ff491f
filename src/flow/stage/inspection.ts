/** What is shown of a client's first bytes, to content rules and to handlers. */

import { BytesFlag } from '../../wire/wire.js'
import { Prefix } from './prefix.js'

const FINAL = BytesFlag.EOF | BytesFlag.FULL | BytesFlag.EXPIRED
const EMPTY = new Uint8Array(0)

export class Inspection {
  readonly #prefix = new Prefix()
  /** What policy sees now. */
  payload: Uint8Array = EMPTY
  /** `BytesFlag` of what came last. */
  flags = 0
  /** Bytes that came while an answer was awaited. */
  inbox: Uint8Array | undefined = undefined

  /** `bytes`: all there is so far. What is returned lasts: policy may keep it across a promise. */
  grow(bytes: Uint8Array): Uint8Array {
    return this.#prefix.grow(bytes)
  }

  /** No more will come. */
  get final(): boolean {
    return (this.flags & FINAL) !== 0
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0
  }
}
