/**
 * Handshake handlers written in TypeScript (HH_CUSTOM): they see the first
 * bytes of a connection before payload flows.
 */

import type { Connection, Variable } from '../rules/types.js'

export type HandshakeAnswer =
  /** Call again when more bytes are there. */
  | 'more'
  | {
      /** Bytes that are not forwarded. Default 0: the server sees everything. */
      consume?: number
      backend?: string
      vars?: Record<string, Variable>
    }
  /**
   * Answer and go on: sends at most 16 kB, drops `consume` bytes (at least 1, so that
   * there is progress), and calls again with what is left, within the same deadline.
   */
  | { send: Uint8Array | string; consume: number }
  | { reply: Uint8Array | string }
  | { reject: 'close' | 'reset' }

export interface HandshakeHandler {
  /** Name in logs and errors. */
  name: string
  /** Most bytes it may see. Default 16384. */
  limit?: number
  /** Longest time for the bytes to come, in ms or as '3s'. Default '5s'. */
  deadline?: number | string
  /**
   * Sees everything buffered so far; `bytes` is valid only until it returns or
   * its promise settles. `info.eof`: the client will send nothing more.
   */
  onBytes(
    conn: Connection,
    bytes: Uint8Array,
    info: { eof: boolean; full: boolean },
  ): HandshakeAnswer | Promise<HandshakeAnswer>
  /** What passing the deadline means. Default 'close'; 'open' goes on with the next handler. */
  onTimeout?: 'close' | 'open'
}

/** Names and checks a handler. */
export function defineHandshake(handler: HandshakeHandler): HandshakeHandler {
  return handler
}
