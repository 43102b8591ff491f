/**
 * Clients that wait for a slot. Each waits either for any server of the
 * backend, or for one server (stickiness, hashing). Order: lower priority
 * value first, first come first served within one value. All wait equally
 * long, so the order of arrival is the order of expiry, and one timer serves
 * every client; those with a time-out of their own have a timer of their own.
 */

import type { Clock } from '../base/clock.js'
import { type HeapItem, IndexedHeap } from '../base/heap.js'

/** What the queue knows of a client. */
export interface Waiting {
  readonly priority: number
  /** It waits for one server alone, whatever becomes of it. */
  readonly strict?: boolean
  /** Longest wait, ms; undefined for that of everybody. 0: no limit. */
  readonly queueTimeout?: number | undefined
}

/** A place in the queue. `owner` is what it waits for; undefined: the whole backend. */
export interface Place<C extends Waiting, S extends object> extends HeapItem {
  readonly client: C
  /** Taken when the client came: HAProxy's priority class. */
  readonly priority: number
  readonly sequence: number
  readonly deadline: number
  /** It has a timer of its own, and no place in the order of expiry. */
  readonly cancel: (() => void) | undefined
  owner: S | undefined
  older: Place<C, S> | undefined
  newer: Place<C, S> | undefined
}

type Heap<C extends Waiting, S extends object> = IndexedHeap<Place<C, S>>

function before<C extends Waiting, S extends object>(a: Place<C, S>, b: Place<C, S>): boolean {
  return a.priority !== b.priority ? a.priority < b.priority : a.sequence < b.sequence
}

export class WaitQueue<C extends Waiting, S extends object> {
  readonly #clock: Clock
  readonly #limit: number
  readonly #timeout: number
  readonly #expired: (client: C) => void
  readonly #waited: (waited: boolean) => void
  readonly #places = new Map<C, Place<C, S>>()
  readonly #common: Heap<C, S> = new IndexedHeap(before)
  readonly #owned = new Map<S, Heap<C, S>>()
  #oldest: Place<C, S> | undefined
  #newest: Place<C, S> | undefined
  #sequence = 0
  #cancelTimer: (() => void) | undefined

  /**
   * `limit`: clients at once. `timeout`: ms, 0 waits for ever. `expired` is
   * called when a client has left because its time is over; it must not throw.
   * `waited` is called when the first client comes and when the last one has left.
   */
  constructor(
    clock: Clock,
    limit: number,
    timeout: number,
    expired: (client: C) => void,
    waited: (waited: boolean) => void = () => {},
  ) {
    this.#clock = clock
    this.#limit = limit
    this.#timeout = timeout
    this.#expired = expired
    this.#waited = waited
  }

  get size(): number {
    return this.#places.size
  }

  /** Clients that wait for any server. */
  get common(): number {
    return this.#common.size
  }

  /** Clients that wait for this server alone. */
  ownedBy(owner: S): number {
    return this.#owned.get(owner)?.size ?? 0
  }

  /** False where the queue is full. Precondition: the client is not waiting. */
  add(client: C, owner: S | undefined): boolean {
    if (this.#places.size >= this.#limit) return false
    const own = client.queueTimeout
    const place: Place<C, S> = {
      client,
      priority: client.priority,
      sequence: this.#sequence++,
      deadline: this.#timeout > 0 ? this.#clock.now() + this.#timeout : Number.POSITIVE_INFINITY,
      owner,
      older: undefined,
      newer: undefined,
      heapIndex: -1,
      cancel: own ? this.#clock.after(own, () => this.#expire(place)) : undefined,
    }
    if (own === undefined) this.#append(place)
    this.#places.set(client, place)
    this.#heap(owner).push(place)
    if (this.#places.size === 1) this.#waited(true)
    return true
  }

  /** False where the client was not waiting. */
  remove(client: C): boolean {
    const place = this.#places.get(client)
    if (!place) return false
    this.#places.delete(client)
    this.#heap(place.owner).remove(place)
    place.cancel?.()
    this.#takeOut(place)
    if (this.#places.size === 0) this.#waited(false)
    return true
  }

  /** The client that waits for any server and is next. */
  nextCommon(): C | undefined {
    return this.#common.peek()?.client
  }

  /** The client that `owner` serves next; `common`: whether it serves those that wait for any server. */
  next(owner: S, common: boolean): C | undefined {
    const own = this.#owned.get(owner)?.peek()
    const shared = common ? this.#common.peek() : undefined
    if (own && shared) return before(own, shared) ? own.client : shared.client
    return (own ?? shared)?.client
  }

  /** Lets a waiting client wait for something else; it keeps its turn and its deadline. */
  move(client: C, owner: S | undefined): void {
    const place = this.#places.get(client)
    if (!place || place.owner === owner) return
    this.#heap(place.owner).remove(place)
    place.owner = owner
    this.#heap(owner).push(place)
  }

  /** Lets everybody who waits for `owner`, and is not strict, wait for any server instead. */
  disown(owner: S): void {
    for (const { client } of this.#owned.get(owner)?.items() ?? []) {
      if (client.strict !== true) this.move(client, undefined)
    }
  }

  /** Expires everybody and stops the timer. */
  close(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    for (const place of [...this.#places.values()]) this.#expire(place)
  }

  /** The last to expire. */
  #append(place: Place<C, S>): void {
    place.older = this.#newest
    if (this.#newest) this.#newest.newer = place
    else this.#oldest = place
    this.#newest = place
    if (this.#timeout > 0 && !this.#cancelTimer) this.#arm(this.#timeout)
  }

  #takeOut(place: Place<C, S>): void {
    const { older, newer } = place
    if (older) older.newer = newer
    else if (this.#oldest === place) this.#oldest = newer
    if (newer) newer.older = older
    else if (this.#newest === place) this.#newest = older
    place.older = undefined
    place.newer = undefined
  }

  #heap(owner: S | undefined): Heap<C, S> {
    if (owner === undefined) return this.#common
    let heap = this.#owned.get(owner)
    if (!heap) {
      heap = new IndexedHeap(before)
      this.#owned.set(owner, heap)
    }
    return heap
  }

  #expire(place: Place<C, S>): void {
    this.remove(place.client)
    this.#expired(place.client)
  }

  /**
   * The timer is not moved when its client leaves early: it then finds nobody
   * due and is set for the oldest client that is left. So a queue that fills
   * and empties all the time costs one timer in each time-out.
   */
  #arm(ms: number): void {
    this.#cancelTimer = this.#clock.after(ms, () => {
      this.#cancelTimer = undefined
      const now = this.#clock.now()
      for (let place = this.#oldest; place && place.deadline <= now; place = this.#oldest) {
        this.#expire(place)
      }
      if (this.#oldest && !this.#cancelTimer) this.#arm(this.#oldest.deadline - now)
    })
  }
}
