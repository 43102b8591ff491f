/** What a stream interface talks to. */

import type { Server } from '../../backend/backend.js'
import type { Applet } from '../../policy/applet.js'
import type { Listener } from '../frontend.js'

export type Target = ServerTarget | AppletTarget | ClientTarget

export interface ServerTarget {
  readonly kind: 'server'
  readonly server: Server
}

/** An applet that stands where a server of a backend would. */
export interface AppletTarget {
  readonly kind: 'applet'
  readonly applet: Applet
  readonly server: Server
}

/** A client keeps its listener, for the listener's configuration. */
export interface ClientTarget {
  readonly kind: 'client'
  readonly listener: Listener
}

/** The server of a target; undefined for a client. */
export function targetServer(target: Target | undefined): Server | undefined {
  return target === undefined || target.kind === 'client' ? undefined : target.server
}
