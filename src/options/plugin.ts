/** Plugins: what they bring, and how they are defined. */

import { SluiceError } from '../base/errors.js'
import { show } from '../base/units.js'
import type {
  OptionsCheck,
  OptionsSchema,
  Plugin,
  PluginContext,
  PluginInside,
  PluginUse,
} from '../policy/plugin.js'
import { backend } from './backend.js'
import { rules } from './frontend.js'
import { optional, section } from './section.js'
import { table } from './table.js'
import { fn, named } from './type.js'
import type { PluginParts } from './written.js'

type Hook = () => void | Promise<void>

export const pluginParts = section(
  {
    rules: optional(rules, "Rules by stage. In logs they are 'PLUGIN/RULE'."),
    tables: optional(named(table), "Stick tables. In stats they are 'PLUGIN.TABLE'."),
    backends: optional(named(backend), "Backends, for rules that choose 'PLUGIN.BACKEND'."),
    start: optional(
      fn<Hook>('() => void | Promise<void>'),
      'Called before the proxy listens. Where it fails the proxy does not start.',
    ),
    stop: optional(
      fn<Hook>('() => void | Promise<void>'),
      'Called when the proxy has stopped, if `start` was called.',
    ),
  },
  'PluginParts',
  'What `setup` of a plugin gives.',
)

/** A plugin: its name and what sets it up. `O`: its options, once they are checked. */
export interface PluginDefinition<O> {
  /** Lower-case letters, digits and '-'. */
  name: string
  /** Whether its rules run before those of a frontend or behind them. Default 'before'. */
  order?: 'before' | 'after'
  /**
   * Called once for each use, when the configuration is resolved: also by `sluice check`, so that
   * it checks what can be checked and makes what rules need. Whatever works by itself (timers,
   * connections, watchers) begins in `start`.
   */
  setup(options: O, context: PluginContext): PluginParts
}

/** Makes plugins: takes the options, and how this one is used. */
export type PluginFactory<W> = (
  ...args: Record<never, never> extends W
    ? [options?: W, use?: PluginUse]
    : [options: W, use?: PluginUse]
) => Plugin

/**
 * Defines a plugin with options as its schema has them.
 *
 * ```ts
 * const oneOfMany = definePlugin({ name: 'one-of-many', options: z.strictObject({ ... }), setup(options, context) { ... } })
 * ```
 *
 * @throws SluiceError (ERR_SLUICE_ARGUMENT) for a name that cannot be one.
 */
export function definePlugin<W, O>(
  definition: PluginDefinition<O> & { options: OptionsSchema<W, O> },
): PluginFactory<W>
/**
 * Defines a plugin. `W`: its options as they are written. What checks them is in `options`;
 * without it they are given to `setup` as they are.
 */
export function definePlugin<W extends object = Record<never, never>, O = W>(
  definition: PluginDefinition<O> & { options?: OptionsCheck<W, O> },
): PluginFactory<W>
export function definePlugin(
  definition: PluginDefinition<never> & { options?: unknown },
): (...args: never) => Plugin {
  const { name, options: check, order = 'before' } = definition
  if (typeof name !== 'string' || !/^[a-z][a-z0-9-]*$/.test(name)) {
    const message = `expected a plugin's name of lower-case letters, digits and '-', got ${show(name)}.`
    throw new SluiceError('ERR_SLUICE_ARGUMENT', message)
  }
  if (typeof definition.setup !== 'function') {
    throw new SluiceError('ERR_SLUICE_ARGUMENT', `plugin '${name}' needs a function 'setup'.`)
  }
  const factory = (options: object = {}, use: PluginUse = {}): PluginInside => ({
    kind: 'plugin',
    name,
    use: { order, ...use },
    options,
    check: check as OptionsCheck<unknown, unknown> | undefined,
    // Called as a method, so that a definition may be an object with state.
    setup: (checked, context) => definition.setup(checked as never, context),
  })
  // For the error where it stands in a list uncalled.
  const words = name.replace(/-+(.?)/g, (_, letter: string) => letter.toUpperCase())
  return Object.defineProperty(factory, 'name', { value: words }) as (...args: never) => Plugin
}
