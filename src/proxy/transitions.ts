/** Who is told of transitions: the log, and listeners of the proxy. Nobody pays for it where nobody wants to know. */

import type { EventEmitter } from 'node:events'
import type { Logger } from 'pino'
import type { Core } from '../flow/core.js'
import { type Sides, type SiStateName, SiStateNames } from '../flow/flow.js'
import type { Observer } from '../flow/observer.js'
import type { ProxyEvents } from './types.js'

export class Transitions {
  readonly #proxy: EventEmitter<ProxyEvents>
  readonly #logger: Logger
  readonly #observer: Observer
  #core: Core | undefined

  constructor(proxy: EventEmitter<ProxyEvents>, logger: Logger, observer: Observer) {
    this.#proxy = proxy
    this.#logger = logger
    this.#observer = observer
  }

  /** From the first session on, those who want to know by now are told. */
  of(core: Core): void {
    this.#core = core
    this.#look()
  }

  /** Whoever listens from here on is told as well. */
  watch(): void {
    ;(this.#proxy as EventEmitter).on('newListener', this.#onListener)
    this.#look()
  }

  stop(): void {
    ;(this.#proxy as EventEmitter).off('newListener', this.#onListener)
  }

  readonly #onListener = (name: string | symbol) => {
    // The listener is added after this event.
    if (name === 'transition') queueMicrotask(() => this.#look())
  }

  /** Call when who wants to know may have changed. */
  #look(): void {
    const wanted = this.#logged || this.#heard
    this.#observer.onTransition = wanted ? this.#onTransition : undefined
  }

  get #logged(): boolean {
    return this.#logger.isLevelEnabled('trace')
  }

  get #heard(): boolean {
    return this.#proxy.listenerCount('transition') > 0
  }

  readonly #onTransition = (session: Sides, side: 0 | 1, from: number, to: number): void => {
    try {
      if (this.#logged) this.#core?.traceTransition(session, side, from, to)
      if (this.#heard) this.#tell(session, side, from, to)
    } catch (error) {
      this.#core?.fault(error)
    }
  }

  #tell(session: Sides, side: 0 | 1, from: number, to: number): void {
    this.#proxy.emit('transition', {
      id: session.client.id,
      side: side === 0 ? 'client' : 'server',
      from: SiStateNames[from] as SiStateName,
      to: SiStateNames[to] as SiStateName,
    })
  }
}
