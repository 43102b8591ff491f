/** Default values, in the words of the configuration. The schema documents them, the resolver applies them. */

export const defaults = {
  workers: 1,
  engine: 'auto',
  busyPoll: false,
  verdictTimeout: '5s',
  drainTimeout: '30s',
  grace: '0s',
  resolveInterval: '30s',
  tlsHandshakes: { concurrent: 1024, queue: 4096, queueTimeout: '3s' },
  tlsReload: '10s',
  tls: { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', ticketRotation: '6h', sessionCache: 4096 },
  timeouts: {
    // Idle SSH, MQTT and database pools are what TCP proxies carry: keep-alive finds dead peers, not this.
    client: '1h',
    server: '1h',
    clientFin: '1m',
    serverFin: '1m',
    connect: '5s',
    handshake: '5s',
  },
  backlog: 4096,
  keepAlive: { idle: '1m', interval: '15s', count: 4 },
  proxyLimit: '16kB',
  monitorReply: 'HTTP/1.0 200 OK\r\n\r\n',
  inspectLimit: '16kB',
  defaultVerdict: 'close',
  draws: 2,
  weight: 1,
  maxqueue: 1024,
  retries: 3,
  retryDelay: '1s',
  passive: { failures: 3, backoff: '1s', maxBackoff: '10s' },
  logLevel: 'info',
  logSample: 1,
  logOpenAfter: '0s',
} as const

/** Most that can be configured. Each takes two records of the engine's table, in each worker. */
export const MOST_CONNECTIONS = 2 ** 22
/** Most of `maxconn` times `workers`: a table is one array, whose length has a limit. */
export const MOST_RECORDS = 2 ** 26

/** Connections at once are never more than this by default, whatever the fd limit says. */
export const MAX_DEFAULT_MAXCONN = 65_536
