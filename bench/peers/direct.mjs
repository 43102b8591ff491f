/** No proxy at all: what the load generator and the upstream can do on one core. */

/** @type {import('./peer.mjs').Peer} */
export const peer = {
  name: 'direct',
  tls: 'never',
  missing: () => undefined,
  version: () => 'no proxy',
  start: async ({ upstream }) => ({ port: upstream.port, pids: () => [], stop: async () => {} }),
}
