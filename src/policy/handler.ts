/**
 * Handshake handlers written in TypeScript (HH_CUSTOM): they see the first
 * bytes of a connection before payload flows.
 */

import type { Connection } from './types.js'
import type { Variable } from './vars.js'

/** The handler is done: on with the next one, and then the session. */
export interface HandshakeDone {
  /** Bytes that are not forwarded. Default 0: whoever is next sees everything. */
  consume?: number
  /** The backend that is chosen. */
  backend?: string
  /** Variables that are set. */
  vars?: Record<string, Variable>
}

/** Sends at most 16 kB to the client, before anything that the server says. */
export type HandshakeSend =
  /**
   * And goes on: drops `consume` bytes (at least 1, so that there is progress), and calls
   * again with what is left, within the same deadline.
   */
  | { send: Uint8Array | string; consume: number; done?: false }
  /** And is done, without another byte of the client. */
  | ({ send: Uint8Array | string; done: true } & HandshakeDone)

export type HandshakeAnswer =
  /** Call again when more bytes are there. */
  | 'more'
  | HandshakeDone
  | HandshakeSend
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
   * Sees everything buffered so far; `bytes` is for reading, and valid only until it returns or
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
