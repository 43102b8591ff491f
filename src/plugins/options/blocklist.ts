/** Options of the plugin blocklist. */

import type { Cidr } from '../../address/set.js'
import type { Duration } from '../../base/units.js'
import { optional, section } from '../../options/section.js'
import { duration, flag, text } from '../../options/type.js'
import { networks as networkList } from './check.js'

/** Options of `blocklist`. */
export interface BlocklistOptions {
  /** File of networks, one a line; '#' starts a comment. Default: none. */
  file?: string
  /** Networks beside those of the file. Default: none. */
  networks?: Cidr[]
  /** How often it is looked whether the file has changed. Default '1s'. */
  interval?: Duration
  /** Refuse by RST instead of FIN. Default false. */
  reset?: boolean
}

export const options = section(
  {
    file: optional(text(), "File of networks, one a line; '#' starts a comment.", {
      means: 'none',
      example: "'/etc/sluice/blocked.txt'",
    }),
    networks: optional(networkList, 'Networks beside those of the file.', {
      default: [],
      means: 'none',
      example: "['192.0.2.0/24']",
    }),
    interval: optional(duration(10), 'How often it is looked whether the file has changed.', {
      default: '1s',
    }),
    reset: optional(flag, 'Refuse by RST instead of FIN.', { default: false }),
  },
  'BlocklistOptions',
)
