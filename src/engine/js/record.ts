/**
 * What the table says of one connection, written as the native engine writes it: states by their
 * table, close operations as wanted and done, each flag by one rule (docs/table.md).
 */

import type { ConnectionTable } from '../../wire/table.js'
import { CloseOp, ConnFlag, ConnNext, ConnState, Field } from '../../wire/wire.js'

const CLOSE_WANTED = CloseOp.DSHR | CloseOp.DSHW | CloseOp.CSHR | CloseOp.CSHW
const CLOSE_DONE = CloseOp.DSHR_DONE | CloseOp.DSHW_DONE | CloseOp.CSHR_DONE | CloseOp.CSHW_DONE
const DATA_SHUT_READ = ConnFlag.SHR | ConnFlag.DATA_SHUTR
const DATA_SHUT_WRITE = ConnFlag.SHW | ConnFlag.DATA_SHUTW
const SHUT = DATA_SHUT_READ | DATA_SHUT_WRITE | ConnFlag.CTRL_SHUTR | ConnFlag.CTRL_SHUTW
const HANDLERS_DONE = ConnFlag.CTRL_HANDLERS_DONE | ConnFlag.DATA_HANDLERS_DONE
/** What may follow each state. */
const NEXT = [
  ConnNext.CLOSED,
  ConnNext.ACCEPTED,
  ConnNext.CONNECTING,
  ConnNext.ESTABLISHED,
  ConnNext.ERROR,
]

export class ConnectionRecord {
  readonly slot: number
  readonly generation: number
  readonly #table: ConnectionTable
  #bytesIn = 0
  #bytesOut = 0

  constructor(table: ConnectionTable, slot: number) {
    this.#table = table
    this.slot = slot
    this.generation = table.generation(slot)
  }

  /** Bytes sent, or with Node to be sent. */
  get bytesOut(): number {
    return this.#bytesOut
  }

  /** Counts so many bytes received; below 0: they were no payload. */
  protected countIn(bytes: number): void {
    this.#bytesIn += bytes
    this.#count(Field.BYTES_IN, this.#bytesIn)
  }

  /** Counts so many bytes sent; below 0: they were dropped. */
  protected countOut(bytes: number): void {
    this.#bytesOut += bytes
    this.#count(Field.BYTES_OUT, this.#bytesOut)
  }

  /** The payload flows from here on. */
  established(clock: number): void {
    this.state(ConnState.ESTABLISHED)
    this.#table.set(this.slot, Field.ESTABLISHED_AT, clock)
    this.flags(HANDLERS_DONE, 0)
  }

  /** Takes a step of the table of states; another one changes nothing. */
  state(next: number): void {
    const now = this.#table.get(this.slot, Field.STATE)
    if ((NEXT[now] as number) & (1 << next)) this.#table.set(this.slot, Field.STATE, next)
  }

  /** An operation on the socket failed, or TLS did. `layer`: CTRL_FAILED or DATA_FAILED. */
  fail(layer: number): void {
    this.flags(layer | ConnFlag.ERR, 0)
    this.state(ConnState.ERROR)
  }

  flags(set: number, clear: number): void {
    const flags = this.#table.get(this.slot, Field.FLAGS)
    this.#table.set(this.slot, Field.FLAGS, (flags & ~clear) | set)
  }

  closeOps(set: number): void {
    this.#table.set(this.slot, Field.CLOSE_OPS, this.#table.get(this.slot, Field.CLOSE_OPS) | set)
  }

  /** The payload has ended; with TLS the FIN may come later, or never. */
  protected payloadEnded(): void {
    this.closeOps(CloseOp.DSHR | CloseOp.CSHR | CloseOp.DSHR_DONE)
    this.flags(DATA_SHUT_READ, 0)
  }

  /** The FIN is there. */
  protected socketEnded(): void {
    this.closeOps(CloseOp.CSHR_DONE)
    this.flags(ConnFlag.CTRL_SHUTR, 0)
  }

  /** The end of what is sent has left the data layer. */
  protected dataFinished(): void {
    this.closeOps(CloseOp.DSHW | CloseOp.DSHW_DONE)
    this.flags(DATA_SHUT_WRITE, 0)
  }

  /** Our FIN is with the kernel. */
  protected socketFinished(): void {
    this.closeOps(CloseOp.CSHW | CloseOp.CSHW_DONE)
    this.flags(ConnFlag.CTRL_SHUTW, 0)
  }

  /** Nobody reads or writes any more. */
  protected abandoned(): void {
    this.closeOps(CLOSE_WANTED)
  }

  /** The descriptor is closed. */
  protected socketClosed(): void {
    this.closeOps(CLOSE_WANTED | CLOSE_DONE)
    this.flags(SHUT, ConnFlag.HELD_BACK | ConnFlag.FD_ALLOCATED)
    this.state(ConnState.CLOSED)
  }

  #count(field: number, value: number): void {
    this.#table.set(this.slot, field, value | 0)
    if (value >= 0x1_0000_0000) {
      this.#table.set(this.slot, field + 1, Math.floor(value / 0x1_0000_0000))
    }
  }
}
