/**
 * Applets: named TypeScript endpoints that stand where a server's connection
 * would.
 */

import type { Connection } from './types.js'

/** The applet's end of a connection. Reading gives chunks until the client's FIN. */
export interface AppletStream extends AsyncIterable<Uint8Array> {
  /** The next chunk (owned by the applet), or undefined at the client's FIN. Reading is the back-pressure. */
  read(): Promise<Uint8Array | undefined>
  /** Resolves when there is room for more; rejects when the connection is gone. */
  write(bytes: Uint8Array | string): Promise<void>
  /** Sends the FIN after what was written. */
  end(): Promise<void>
  /** Ends the connection at once with RST. */
  reset(): void
  readonly signal: AbortSignal
}

export interface Applet {
  readonly kind: 'applet'
  readonly name: string
  /** The connection ends when this settles: cleanly, or as applet-error where it throws. */
  serve(stream: AppletStream, conn: Connection): void | Promise<void>
}

/** Makes an applet out of a function. */
export function defineApplet(name: string, serve: Applet['serve']): Applet {
  return { kind: 'applet', name, serve }
}
