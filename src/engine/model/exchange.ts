/**
 * Payload between a client and a server or an applet: who has spoken and who has ended, and what
 * follows of it, the phase and the time-out that a side is held to. No I/O.
 */

import { By, Code, Phase } from '../../wire/wire.js'
import type { ListenSpec, RouteSpec } from '../engine.js'

const CLIENT_SPOKE = 1
const SERVER_SPOKE = 2
const BOTH_SPOKE = CLIENT_SPOKE | SERVER_SPOKE

type ClientTimeouts = Pick<ListenSpec, 'clientTimeout' | 'clientFinTimeout'>
type ServerTimeouts = Pick<RouteSpec, 'serverTimeout' | 'serverFinTimeout' | 'tunnelTimeout'>

const APPLET: ServerTimeouts = { serverTimeout: 0, serverFinTimeout: 0, tunnelTimeout: 0 }

export class Exchange {
  /** By of the side whose FIN came first, POLICY for an applet's; 0 while neither came. */
  firstFin = 0
  readonly #client: ClientTimeouts
  readonly #server: ServerTimeouts
  #spoke = 0

  /** `server`: undefined for an applet, which has no time-outs. */
  constructor(client: ClientTimeouts, server: ServerTimeouts | undefined) {
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
    return this.mutual && this.firstFin === 0 && this.#server.tunnelTimeout > 0
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
    if (this.tunnel) return this.#server.tunnelTimeout
    const whole = by === By.CLIENT ? this.#client.clientTimeout : this.#server.serverTimeout
    return (this.firstFin !== 0 && this.#half(by)) || whole
  }

  /** The Code of an end by that silence. */
  timeoutCode(by: number): number {
    if (this.tunnel) return Code.TUNNEL_TIMEOUT
    const shorter = this.firstFin !== 0 && this.#half(by) > 0
    if (by === By.CLIENT) return shorter ? Code.CLIENT_FIN_TIMEOUT : Code.CLIENT_TIMEOUT
    return shorter ? Code.SERVER_FIN_TIMEOUT : Code.SERVER_TIMEOUT
  }

  /** The limit once one way is shut, ms; 0: as before. */
  #half(by: number): number {
    return by === By.CLIENT ? this.#client.clientFinTimeout : this.#server.serverFinTimeout
  }
}
