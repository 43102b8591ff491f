/** The whole configuration. What needs more than one option to be judged is in src/config. */

import { backend } from './backend.js'
import { frontend } from './frontend.js'
import { applet } from './policy.js'
import { global, log } from './process.js'
import { optional, required, section } from './section.js'
import { table } from './table.js'
import { timeouts } from './timeouts.js'
import { named } from './type.js'

export const config = section(
  {
    global: optional(global, 'The process.', { default: {} }),
    tables: optional(named(table), 'Stick tables by name.'),
    applets: optional(named(applet), "Applets by name, for servers at 'applet:NAME'."),
    frontends: required(named(frontend), 'Frontends by name: where clients come in.'),
    backends: required(named(backend), 'Backends by name: where sessions go.'),
    timeouts: optional(timeouts, 'Defaults for every frontend and backend.', { default: {} }),
    log: optional(log, 'The log of the process.', { default: {} }),
  },
  'Config',
)
