/** SSH, TLS and HTTP on one port: the first bytes choose the backend, and stay for the server. */

import { formatDuration } from '../base/units.js'
import { definePlugin, type FirstBytes, more, reject, setVar } from '../policy.js'
import { detect, LONGEST_METHOD, type Protocol } from './detect.js'
import { optionsOf } from './options/check.js'
import { options, type ProtocolDetectionOptions } from './options/protocol-detection.js'

export type { ProtocolDetectionOptions }

/** Chooses the backend and sets `conn.vars.protocol`, at the byte that decides. */
export const protocolDetection = definePlugin({
  name: 'protocol-detection',
  options: optionsOf<ProtocolDetectionOptions, typeof options.options>(options),
  setup({ backends, wait }, { metrics, useBackend }) {
    const detected = metrics.counter('detected_total', 'Connections by protocol.')
    const protocols: Protocol[] = ['ssh', 'tls', 'http', 'unknown']
    const answers = new Map(
      protocols.map((protocol) => {
        const backend = backends[protocol]
        const refused = reject()
        return [
          protocol,
          backend === undefined ? refused : [useBackend(backend), setVar('protocol', protocol)],
        ] as const
      }),
    )
    return {
      rules: {
        handshake: [
          {
            name: 'detect',
            limit: LONGEST_METHOD + 1,
            deadline: formatDuration(wait),
            run({ bytes, last, frontend }: FirstBytes) {
              const silent = bytes.length === 0
              const protocol = detect(bytes) ?? (last && !silent ? 'unknown' : undefined)
              if (protocol === undefined && !last) return more()
              detected.inc({ frontend, protocol: protocol ?? 'silent' })
              return protocol && answers.get(protocol)
            },
          },
        ],
      },
    }
  },
})
