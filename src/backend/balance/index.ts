/** Makes the balance algorithm that a configuration names. */

import { inspect } from 'node:util'
import type { ResolvedBalance, ResolvedServer } from '../../config/resolved.js'
import { FailureLog } from '../../log/failures.js'
import type { Connection } from '../../policy/types.js'
import type { Balancer, Candidate } from './balancer.js'
import type { HashKey } from './bounded-load.js'
import { ConsistentHash } from './consistent-hash.js'
import { First } from './first.js'
import { HashMap } from './hash-map.js'
import { LeastConn } from './leastconn.js'
import { Random } from './random.js'
import { RoundRobin } from './roundrobin.js'

export function createBalancer<S extends Candidate>(
  config: ResolvedBalance,
  servers: readonly ResolvedServer[],
  random: () => number,
): Balancer<S> {
  switch (config.algorithm) {
    case 'roundrobin':
      return new RoundRobin()
    case 'leastconn':
      return new LeastConn()
    case 'first':
      return new First()
    case 'random':
      return new Random(config.draws, random)
    case 'hash': {
      const key = safeKey(config.key)
      if (config.type === 'map') return new HashMap(key, config.boundedLoad)
      const weights = servers.reduce((sum, { weight }) => sum + weight, 0)
      return new ConsistentHash(key, config.boundedLoad, weights / Math.max(1, servers.length))
    }
  }
}

/** A key function is the user's: where it throws or gives no key, the connection goes by its source address. */
function safeKey(key: (conn: Connection) => string | number): HashKey {
  const failures = new FailureLog()
  return (conn) => {
    try {
      const answer: unknown = key(conn)
      if (typeof answer === 'string' || typeof answer === 'number') return answer
      // A promise, say: its text would be one key for everybody.
      throw new TypeError(`expected a string or a number, got ${inspect(answer, { depth: 0 })}`)
    } catch (err) {
      const message = 'the key function of hash balancing failed; the source address is used'
      failures.report(conn.log, () => conn.log, 'error', { err }, message)
      return conn.src
    }
  }
}
