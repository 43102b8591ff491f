/** The end of a proxy: it stops accepting, lets sessions end, and closes the rest. */

import type { Logger } from 'pino'
import type { Clock } from '../base/clock.js'
import type { Engine } from '../engine/engine.js'
import type { Core } from '../flow/core.js'
import type { Listener } from '../flow/frontend.js'
import { Code } from '../wire/wire.js'
import type { StopResult } from './types.js'

interface Draining {
  readonly engine: Engine
  readonly core: Core
  readonly clock: Clock
  readonly logger: Logger
  readonly listeners: readonly Listener[]
  /** Somebody else ends the proxy: nothing is to be waited for. */
  interrupted(): boolean
}

/** Time that closed sessions have to be reported before the engine stops, ms. */
const CLOSE_GRACE = 1_000
const POLL_INTERVAL = 10

/** Accepts for `grace` ms more, while health and monitor say no; then lets sessions end for `deadline` ms. */
export async function drain(proxy: Draining, grace: number, deadline: number): Promise<StopResult> {
  const { engine, core, clock, listeners } = proxy
  const open = () => core.current > 0 || engine.stats().connections > 0
  core.leave()
  if (grace > 0) {
    // Nobody there is as clear a no as there is, to every kind of health check.
    void unlisten(
      proxy,
      listeners.filter(({ bind }) => bind.health),
    )
    await until(clock, proxy.interrupted, grace)
  }
  // Who waits in their queues is served as sessions end, so that this may take as long.
  let listening = true
  const unlistened = unlisten(proxy, listeners).then(() => {
    listening = false
  })
  const end = clock.now() + deadline
  await within(clock, unlistened, deadline)
  if (!(await until(clock, () => !listening && !open(), end - clock.now()))) {
    await Promise.all(listeners.map(({ id }) => engine.unlisten(id, true).catch(() => {})))
    await unlistened
  }
  if (!open()) return { drained: true, closed: 0 }
  const closed = core.closeAll(Code.SHUTDOWN)
  await until(clock, () => core.current === 0, CLOSE_GRACE)
  return { drained: false, closed }
}

/** A listener that does not close must not hold up the others, or the end. */
async function unlisten(
  { engine, logger }: Draining,
  listeners: readonly Listener[],
): Promise<void> {
  const open = listeners.filter(({ closed }) => !closed)
  for (const listener of open) listener.closed = true
  for (const result of await Promise.allSettled(open.map(({ id }) => engine.unlisten(id)))) {
    if (result.status === 'rejected') {
      logger.error({ err: result.reason as unknown }, 'a listener did not close')
    }
  }
}

/** Waits for `done`, at most `ms`. */
async function within(clock: Clock, done: Promise<void>, ms: number): Promise<void> {
  let cancel = () => {}
  const late = new Promise<void>((resolve) => {
    cancel = clock.after(ms, resolve)
  })
  await Promise.race([done, late])
  cancel()
}

/** Waits until `done`, at most `ms`; returns whether it is. */
async function until(clock: Clock, done: () => boolean, ms: number): Promise<boolean> {
  const end = clock.now() + ms
  for (;;) {
    if (done()) return true
    const left = end - clock.now()
    if (left <= 0) return false
    await new Promise<void>((resolve) => {
      clock.after(Math.min(left, POLL_INTERVAL), resolve)
    })
  }
}
