/** The whole configuration. What needs more than one option to be judged is in src/config. */

import type { Started } from '../policy/live.js'
import { backend } from './backend.js'
import { frontend } from './frontend.js'
import { applet, plugin } from './policy.js'
import { global, log } from './process.js'
import { optional, required, section } from './section.js'
import { table } from './table.js'
import { timeouts } from './timeouts.js'
import { fn, keyed, list, named } from './type.js'

export const config = section(
  {
    global: optional(global, 'The process.', { default: {} }),
    tables: optional(
      keyed(table, (item) => `Record<Tables, ${item}>`),
      'Stick tables by name.',
    ),
    applets: optional(named(applet), "Applets by name, for servers at 'applet:NAME'."),
    frontends: required(
      keyed(
        frontend,
        () =>
          'Using<Used, Record<Frontends, FrontendConfig<Names<Used, Used>>>, Record<Frontends, FrontendConfig<NamesIn<Backends, Tables, Used>>>>',
      ),
      'Frontends by name: where clients come in.',
    ),
    backends: required(
      keyed(
        backend,
        () =>
          'Using<Used, Record<string, BackendConfig<Names<Used, Used>>>, { [Name in keyof Backends]: BackendConfig<NamesIn<Backends, Tables, Used>, Backends[Name]> }>',
      ),
      'Backends by name: where sessions go.',
    ),
    plugins: optional(
      list(plugin),
      'Plugins for every frontend: before its own, and set up once for all.',
      { default: [], means: 'none' },
    ),
    started: optional(
      fn<Started>('(proxy) => void | Promise<void>', 'Started<NoInfer<Backends>, NoInfer<Tables>>'),
      'Called with the proxy once everything listens, for what goes on beside the rules; it is over with `proxy.signal`. Where it fails, the proxy stops.',
    ),
    timeouts: optional(timeouts, 'Defaults for every frontend and backend.', { default: {} }),
    log: optional(log, 'The log of the process.', { default: {} }),
  },
  'Config',
  'A configuration. The names in it are for the compiler: `Config` alone has any.',
  [
    'Frontends extends string = string',
    'Backends = BackendNames',
    'Tables extends string = string',
    'Used extends string = string',
  ],
)
