/** What the resolvers of the sections share. */

import type { Checked } from '../options/section.js'
import type { Config } from '../options/written.js'
import type { Applet } from '../policy/applet.js'
import type { Issues } from './issues.js'
import type { Plugins } from './plugins.js'

/** Entries of a section that survived the shape check. */
export function entries<T>(section: Record<string, T> | undefined): [string, Checked<T>][] {
  return Object.entries(section ?? {}).flatMap(([name, value]): [string, Checked<T>][] =>
    value === undefined ? [] : [[name, value]],
  )
}

export interface Context {
  issues: Issues
  /** What is allowed and probably not meant. Each says what to do. */
  warnings: Issues
  /** Names per section, undefined where the section itself is wrong, so that nothing can refer to it. */
  names: {
    tables: string[] | undefined
    backends: string[] | undefined
    applets: string[] | undefined
  }
  config: Checked<Config>
  plugins: Plugins
  env: NodeJS.ProcessEnv
  allowNoSockets: boolean
  /** Resolved global limit of connections. */
  maxconn: number
}

/** An applet of the configuration by its name. */
export function namedApplet(context: Context, name: string): Applet | undefined {
  const applets = context.config.applets
  return applets && Object.hasOwn(applets, name) ? applets[name] : undefined
}
