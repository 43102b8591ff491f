/** The configuration as users write it. Names follow HAProxy's terms. */

import type { Config } from '../options/written.js'

export type { Cidr } from '../address/set.js'
export type { Duration, Size } from '../base/units.js'
export type * from '../options/written.js'
export type { Sync } from '../policy/types.js'

/** Marks a configuration, so that editors complete it and mistakes show up while typing. */
export function defineConfig(config: Config): Config {
  return config
}
