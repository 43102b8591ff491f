/** Limits of what one source, or whoever else, may open; longer for who goes on. */

import { formatDuration } from '../base/units.js'
import { type Connection, cidrList, definePlugin, defineTable, reject } from '../policy.js'
import { optionsOf } from './options/check.js'
import { options, type RateLimitOptions } from './options/rate-limit.js'
import { sourceOf } from './source.js'

export type { RateLimitOptions }

/** Refuses connections before TLS and before a session. */
export const rateLimit = definePlugin({
  name: 'rate-limit',
  options: optionsOf<RateLimitOptions, typeof options.options>(options),
  setup({ limit, window, open, ban, banWindow, except, by, size, reset }, { metrics }) {
    const seen = defineTable({
      key: by === undefined ? 'ipv6' : 'string',
      ...(by !== undefined && { keyLength: 64 }),
      size,
      // What has been quiet for so long reads 0.
      expire: formatDuration(Math.max(window, banWindow)),
      store: {
        connRate: formatDuration(window),
        connCur: true,
        gpc0: true,
        gpc0Rate: formatDuration(banWindow),
      },
    })
    const spared = cidrList(...except)
    const refused = metrics.counter('refused_total', 'Connections that were refused, by reason.')
    const refusal = reject({ reset })
    // What the first of the rules has tracked: they run behind each other, without a promise.
    let entry: ReturnType<typeof seen.track>
    const refuse = ({ frontend }: Connection, reason: string) => {
      entry.gpc0++
      refused.inc({ frontend, reason })
      return refusal
    }
    return {
      tables: { seen },
      rules: {
        connection: [
          function banned(conn: Connection) {
            const key = by === undefined ? sourceOf(conn.src) : by(conn)
            entry = seen.track(conn, spared.has(conn.src) ? undefined : key)
            if (entry.gpc0Rate >= ban) return refuse(conn, 'banned')
          },
          function tooFast(conn: Connection) {
            if (entry.connRate > limit) return refuse(conn, 'rate')
          },
          function tooMany(conn: Connection) {
            if (entry.connCur > open) return refuse(conn, 'open')
          },
        ],
      },
    }
  },
})
