/** Rules on the ClientHello of TLS that is not terminated: what a table of names cannot say. */
import { type ClientHello, type Connection, passthrough, reply, useBackend } from 'sluice/policy'

type Greeting = Connection & { readonly hello: ClientHello }

/** A fatal alert (RFC 8446 section 6, RFC 6066 section 3), in a record of a version that all understand. */
const UNRECOGNIZED_NAME = Uint8Array.of(21, 3, 1, 0, 2, 2, 112)

/** Clients that ask for no name, or for one outside `domain`, get an alert. */
export function within(domain: string) {
  return function withinDomain({ hello, log }: Greeting) {
    const { serverName } = hello
    if (serverName === domain || serverName.endsWith(`.${domain}`)) return
    log.info({ serverName, ja4: hello.ja4 }, 'not one of our names')
    return reply(UNRECOGNIZED_NAME)
  }
}

/** Every name below `suffix`, however deep, goes to `backend`. */
export function below(suffix: string, backend: string) {
  return function belowSuffix({ hello }: Greeting) {
    if (hello.serverName.endsWith(`.${suffix}`)) return [useBackend(backend), passthrough()]
  }
}
