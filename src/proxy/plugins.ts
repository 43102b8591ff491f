/** The plugins of a proxy: started before it listens, stopped when nothing runs any more. */

import type { Logger } from 'pino'
import type { Clock } from '../base/clock.js'
import { SluiceError } from '../base/errors.js'
import { formatDuration } from '../base/units.js'
import type { ResolvedPlugin } from '../config/resolved.js'
import { messageOf, orEnded } from './hook.js'

/** Time that one plugin has to stop, ms: the end of a proxy must not depend on it. */
const STOP_LIMIT = 5_000

export class PluginRun {
  readonly #plugins: readonly ResolvedPlugin[]
  readonly #clock: Clock
  readonly #logger: Logger
  /** In the order in which they started. */
  readonly #started: ResolvedPlugin[] = []

  constructor(plugins: readonly ResolvedPlugin[], clock: Clock, logger: Logger) {
    this.#plugins = plugins
    this.#clock = clock
    this.#logger = logger
  }

  /** One after the other, until one fails, which is told with its path, or `end` says that nobody waits. */
  async start(): Promise<void> {
    for (const plugin of this.#plugins) {
      // What it has begun when it fails is for its stop to end.
      this.#started.push(plugin)
      try {
        await orEnded(plugin.start(), plugin.signal)
      } catch (error) {
        if (plugin.signal.aborted) break
        const message = `${plugin.path}: plugin '${plugin.name}' did not start: ${messageOf(error)}`
        throw new SluiceError('ERR_SLUICE_PLUGIN', message, { cause: error })
      }
    }
  }

  /** Whoever waits for something hears that it is over. */
  end(): void {
    for (const plugin of this.#plugins) plugin.end()
  }

  /** The last one first. A plugin that fails to stop is logged, and holds up nobody. */
  async stop(): Promise<void> {
    this.end()
    for (const plugin of this.#started.splice(0).reverse()) {
      try {
        await this.#inTime(plugin.stop())
      } catch (error) {
        this.#logger.error({ err: error, plugin: plugin.name }, 'a plugin did not stop well')
      }
    }
  }

  async #inTime(stopping: void | Promise<void>): Promise<void> {
    let cancel = () => {}
    const late = new Promise<never>((_, reject) => {
      const message = `it did not stop within ${formatDuration(STOP_LIMIT)}`
      cancel = this.#clock.after(STOP_LIMIT, () => reject(new Error(message)))
    })
    await Promise.race([stopping, late]).finally(() => cancel())
  }
}
