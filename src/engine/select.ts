/** Which engine runs: the one that was asked for, or the best that loads. */

import type { Logger } from 'pino'
import { SluiceError } from '../base/errors.js'
import type { Engine } from './engine.js'
import { loadBinding } from './native/load.js'

export interface EngineOptions {
  workers: number
  /** Connections at once in all workers together; both sides of a session count. */
  slots: number
  /** Pipes for bulk payload at once; the js engine has none. */
  maxpipes?: number
  /** Look for events before the thread sleeps; not on the js engine, which is in that thread. */
  busyPoll?: boolean
  /** Take the workers' turns in this thread while traffic is sparse; not on the js engine. */
  lead?: boolean
}

/** Makes the native engine. Rejects where the addon does not load. */
export type NativeFactory = (options: EngineOptions) => Promise<Engine>

/**
 * Makes an engine. 'auto' takes native where the addon loads and falls back to
 * js with one loud warning. Throws ERR_SLUICE_ENGINE where 'native' does not
 * load, and ERR_SLUICE_ABI_MISMATCH where the addon was built from another
 * contract. `native` is for tests.
 */
export async function selectEngine(
  kind: 'native' | 'js' | 'auto',
  options: EngineOptions,
  logger: Logger,
  native: NativeFactory = makeNative,
): Promise<Engine> {
  if (kind === 'js') return makeJs(options)
  if (kind === 'native') return native(options)
  try {
    return await native(options)
  } catch (error) {
    // A mismatch of versions is a broken installation, not a missing one; and what is
    // too large for one engine is not what the other one is for.
    if (error instanceof SluiceError && error.code !== 'ERR_SLUICE_ENGINE') throw error
    const why = error instanceof Error ? error.message : String(error)
    logger.warn(
      { err: error },
      `RUNNING ON THE SLOW ENGINE: ${why}. ` +
        'Sluice runs on the js engine, which carries a fraction of the traffic per core. ' +
        "To choose the js engine on purpose, set global.engine to 'js'.",
    )
    return makeJs(options)
  }
}

async function makeJs({ slots }: EngineOptions): Promise<Engine> {
  const { createJsEngine } = await import('./js/engine.js')
  return createJsEngine({ slots })
}

async function makeNative(options: EngineOptions): Promise<Engine> {
  const { createNativeEngine } = await import('./native/engine.js')
  return createNativeEngine(options)
}

/** Sends a message to a service manager; undefined where the addon does not load. */
export function addonNotify(): ((socket: string, message: string) => void) | undefined {
  try {
    return loadBinding().notify
  } catch {
    // What is wrong with it is told where an engine is chosen.
    return undefined
  }
}
