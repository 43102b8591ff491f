/** The configuration as users write it. Names follow HAProxy's terms. */

import type { Config } from '../options/written.js'
import type { BackendNames } from '../policy/names.js'

export type { Cidr } from '../address/set.js'
export type { Duration, Size } from '../base/units.js'
export type * from '../options/written.js'
export type {
  At,
  BackendNames,
  ByName,
  Names,
  NamesBackend,
  NamesIn,
  NamesStage,
  NamesTable,
  StageOf,
  Using,
} from '../policy/names.js'
export type { Rules, Sync, VerdictAmong } from '../policy/rule.js'

/** A configuration that comes later, as `sluice run` loads it too. */
export type ConfigFunction<C = Config> = () => C | Promise<C>

/**
 * What `defineConfig` takes: `C`, or what gives it. Overloads would tell of a mistake at the call
 * instead of at its place, so that type parameters say which form it is: only a function fills
 * `Arguments`, and only a promise `Tag`.
 */
export type Definition<C, Arguments extends readonly unknown[], Tag extends string> =
  | C
  | ((...none: Arguments) => C | Promise<C>)
  | (Promise<C> & { readonly [Symbol.toStringTag]: Tag })

/** The form that was given to `defineConfig`. */
export type Defined<C, Arguments extends readonly unknown[], Tag extends string> = [
  Arguments,
] extends [never]
  ? [Tag] extends [never]
    ? C
    : Promise<C>
  : ConfigFunction<C>

/**
 * Marks a configuration, so that editors complete it and mistakes show up while typing: a name of a
 * backend or a table that it has not is a type error. It takes a function or a promise too.
 */
export function defineConfig<
  const Frontends extends string,
  const Backends extends BackendNames,
  const Tables extends string = never,
  const Used extends string = '',
  Arguments extends readonly unknown[] = never,
  Tag extends string = never,
>(
  config: Definition<Config<Frontends, Backends, Tables, Used>, Arguments, Tag>,
): Defined<Config<Frontends, Backends, Tables, Used>, Arguments, Tag> {
  return config as Defined<Config<Frontends, Backends, Tables, Used>, Arguments, Tag>
}
