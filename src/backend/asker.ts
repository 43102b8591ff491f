import type { Connection } from '../policy/types.js'

/** Who asks for a server: a session. The connection is made when a policy looks at it. */
export interface Asker {
  readonly connection: Connection
}
