/** A part of all clients goes to another backend, each client always to the same. */

import { type Connection, cidrList, definePlugin } from '../policy.js'
import { type CanaryOptions, options } from './options/canary.js'
import { optionsOf } from './options/check.js'
import { isAmong } from './share.js'

export type { CanaryOptions }

/** Chooses the backend when the session is made. Who is chosen at 5 percent is chosen at 10. */
export const canary = definePlugin({
  name: 'canary',
  options: optionsOf<CanaryOptions, typeof options.options>(options),
  setup({ backend, percent, always, never, by }, { metrics, useBackend }) {
    const included = cidrList(...always)
    const excluded = cidrList(...never)
    const next = useBackend(backend)
    const chosen = metrics.counter('chosen_total', 'Connections that went to the other backend.')
    const isChosen = (conn: Connection): boolean => {
      if (excluded.has(conn.src)) return false
      if (included.has(conn.src)) return true
      const key = by === undefined ? conn.src : by(conn)
      const part = typeof percent === 'function' ? percent() : percent
      return key !== undefined && key !== '' && isAmong(key, part)
    }
    return {
      rules: {
        session: [
          function choose(conn: Connection) {
            if (!isChosen(conn)) return
            chosen.inc({ frontend: conn.frontend })
            return next
          },
        ],
      },
    }
  },
})
