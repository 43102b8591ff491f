/** Sources that get no service: networks in a file that may change, and in the configuration. */

import { SluiceError } from '../base/errors.js'
import { formatDuration } from '../base/units.js'
import {
  type CidrFile,
  type Connection,
  cidrFile,
  cidrList,
  definePlugin,
  reject,
} from '../policy.js'
import { type BlocklistOptions, options } from './options/blocklist.js'
import { optionsOf } from './options/check.js'

export type { BlocklistOptions }

/**
 * Refuses connections by their source, before TLS and before a session. The file is read again
 * when it has changed; one that is bad then is told in the log, and the list stays as it was.
 */
export const blocklist = definePlugin({
  name: 'blocklist',
  options: optionsOf<BlocklistOptions, typeof options.options>(options),
  setup({ file, networks, interval, reset }, { metrics, log, clock }) {
    if (file === undefined && networks.length === 0) {
      throw new SluiceError('ERR_SLUICE_ARGUMENT', "needs 'file' or 'networks'.")
    }
    const fixed = cidrList(...networks)
    // Read once already: a file that is bad is a mistake of the configuration.
    let listed = file === undefined ? undefined : cidrFile(file, { interval: '0s' })
    const blocked = metrics.counter('blocked_total', 'Connections that were refused.')
    const size = metrics.gauge('networks', 'Networks in the list.')
    const errors = metrics.counter('errors_total', 'Times that the file had changed and was bad.')
    const refusal = reject({ reset })
    const count = () => size.set(fixed.size + (listed?.size ?? 0))
    count()
    return {
      rules: {
        connection: [
          function blockedSource({ src, frontend }: Connection) {
            if (!fixed.has(src) && !listed?.has(src)) return
            blocked.inc({ frontend })
            return refusal
          },
        ],
      },
      start() {
        if (file === undefined) return
        listed = cidrFile(file, {
          interval: formatDuration(interval),
          clock,
          onReload(list: CidrFile) {
            count()
            log.info({ file: list.path, size: list.size }, 'the block list was read again')
          },
          onBadFile(error) {
            errors.inc()
            log.warn({ err: error }, 'the block list is bad: the old one stays')
          },
        })
        count()
      },
      stop: () => listed?.close(),
    }
  },
})
