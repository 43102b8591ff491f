/**
 * Payload between a client and a server or an applet: who has spoken and who has ended, and what
 * follows of it, the phase and the time-out that a side is held to. No I/O.
 */

import { By, Code, Phase, Timeout } from '../../wire/wire.js'
import type { ListenSpec, RouteSpec } from '../engine.js'
import type { OwnTimeouts } from './own-timeouts.js'

const CLIENT_SPOKE = 1
const SERVER_SPOKE = 2
const BOTH_SPOKE = CLIENT_SPOKE | SERVER_SPOKE

type ClientTimeouts = Pick<ListenSpec, 'clientTimeout' | 'clientFinTimeout'>
type ServerTimeouts = Pick<RouteSpec, 'serverTimeout' | 'serverFinTimeout' | 'tunnelTimeout'>

const APPLET: ServerTimeouts = { serverTimeout: 0, serverFinTimeout: 0, tunnelTimeout: 0 }

export class Exchange {
  /** By of the side whose FIN came first, POLICY for an applet's; 0 while neither came. */
  firstFin = 0
  /** Policy gave the connection time-outs of its own. */
  own: OwnTimeouts | undefined
  readonly #client: ClientTimeouts
  readonly #server: ServerTimeouts
  #spoke = 0

  /** `server`: undefined for an applet, which has no time-outs. */
  constructor(client: ClientTimeouts, server: ServerTimeouts | undefined, own?: OwnTimeouts) {
    this.own = own
    this.#client = client
    this.#server = server ?? APPLET
  }

  /** Closing once either side is shut. */
  get phase(): number {
    return this.firstFin === 0 ? Phase.DATA : Phase.CLOSE
  }

  /** Both sides have sent payload. */
  get mutual(): boolean {
    return this.#spoke === BOTH_SPOKE
  }

  /** One time-out holds for both sides: it is idle only while both are. */
  get tunnel(): boolean {
    return this.mutual && this.firstFin === 0 && this.#tunnelTimeout > 0
  }

  /** `by` (CLIENT or SERVER) has sent payload. */
  speaks(by: number): void {
    this.#spoke |= by === By.CLIENT ? CLIENT_SPOKE : SERVER_SPOKE
  }

  /** `by` has sent its FIN. Time-outs of what is half closed may be shorter. */
  ends(by: number): void {
    if (this.firstFin === 0) this.firstFin = by
  }

  /** Longest silence of `by` (CLIENT or SERVER), ms; 0: no limit. */
  limit(by: number): number {
    if (this.tunnel) return this.#tunnelTimeout
    return (this.firstFin !== 0 && this.#half(by)) || this.#whole(by)
  }

  /** The Code of an end by that silence. */
  timeoutCode(by: number): number {
    if (this.tunnel) return Code.TUNNEL_TIMEOUT
    const shorter = this.firstFin !== 0 && this.#half(by) > 0
    if (by === By.CLIENT) return shorter ? Code.CLIENT_FIN_TIMEOUT : Code.CLIENT_TIMEOUT
    return shorter ? Code.SERVER_FIN_TIMEOUT : Code.SERVER_TIMEOUT
  }

  get #tunnelTimeout(): number {
    return this.#pick(Timeout.TUNNEL, this.#server.tunnelTimeout)
  }

  #whole(by: number): number {
    return by === By.CLIENT
      ? this.#pick(Timeout.CLIENT, this.#client.clientTimeout)
      : this.#pick(Timeout.SERVER, this.#server.serverTimeout)
  }

  /** The limit once one way is shut, ms; 0: as before. */
  #half(by: number): number {
    return by === By.CLIENT
      ? this.#pick(Timeout.CLIENT_FIN, this.#client.clientFinTimeout)
      : this.#pick(Timeout.SERVER_FIN, this.#server.serverFinTimeout)
  }

  #pick(which: number, configured: number): number {
    return this.own === undefined ? configured : this.own.pick(which, configured)
  }
}
