/** What a constant `track` may count by: parts of the connection. */

import type { Connection, Key } from './types.js'

interface Row {
  key(conn: Connection): Key
  /** One of its values, as text: some tables cannot have it as key. */
  readonly sample: string
}

const ADDRESS = '192.0.2.1'

export const trackedBy = {
  src: { key: (conn) => conn.src, sample: ADDRESS },
  dst: { key: (conn) => conn.dst, sample: ADDRESS },
  peer: { key: (conn) => conn.peer, sample: ADDRESS },
  srcPort: { key: (conn) => conn.srcPort, sample: '443' },
  dstPort: { key: (conn) => conn.dstPort, sample: '443' },
  frontend: { key: (conn) => conn.frontend, sample: 'web' },
  serverName: { key: (conn) => conn.hello?.serverName, sample: 'a.example' },
  ja4: { key: (conn) => conn.hello?.ja4, sample: 't13d1516h2_8daaf6152771_b186095e22b6' },
  /** SHA-256 of the client's certificate. */
  fingerprint: { key: (conn) => conn.tls?.peerCertificate?.fingerprint, sample: 'ab12' },
} satisfies Record<string, Row>

export type TrackedBy = keyof typeof trackedBy
