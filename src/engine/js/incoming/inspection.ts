/** How much of a client's first bytes is read and shown to policy, and for how long more is awaited. */

import { PROXY_V2_FIXED, PROXY_V2_MAX } from '../../../codec/proxy.js'
import { BytesFlag } from '../../../wire/wire.js'
import type { EngineEvent } from '../../event.js'
import { timer } from '../timer.js'

/** Bytes that are read ahead of policy, so that a FIN or RST behind them is seen; the longest PROXY header fits. */
const READ_AHEAD = PROXY_V2_FIXED + PROXY_V2_MAX + 1024

export class Inspection {
  /** Most bytes that are shown. */
  #limit = READ_AHEAD
  #delay: NodeJS.Timeout | undefined

  /** `expired` is called once after `delay` ms; 0: never. */
  begin(limit: number, delay: number, expired: () => void): void {
    this.#limit = Math.max(1, limit)
    this.#delay = timer(delay, expired)
  }

  /** Policy has answered: the next inspection has a limit of its own. */
  answered(): void {
    this.#limit = READ_AHEAD
  }

  /** The delay has no say any more. */
  cancelDelay(): void {
    clearTimeout(this.#delay)
  }

  /** Whether more is read than these many bytes. */
  takesMore(length: number): boolean {
    return length < Math.max(READ_AHEAD, this.#limit)
  }

  /**
   * Shows `bytes` up to the limit, and the FIN only behind the last of them. `flags`: what is known
   * beside it, of BytesFlag.
   */
  fill(event: EngineEvent, bytes: Uint8Array, flags: number, eof: boolean): void {
    const full = bytes.length >= this.#limit
    const last = eof && bytes.length <= this.#limit
    event.bytes = full ? bytes.subarray(0, this.#limit) : bytes
    event.flags = flags | (last ? BytesFlag.EOF : 0) | (full ? BytesFlag.FULL : 0)
  }
}
