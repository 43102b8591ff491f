/** Fields of a session's line, for tests of how it looks. */
export const sessionFields = {
  event: 'session',
  id: 'a1',
  frontend: 'web',
  src: '127.0.0.1',
  srcPort: 4711,
  backend: 'app',
  server: 'a',
  timers: { queue: 0, connect: 1, total: 12.4 },
  bytesIn: 78,
  bytesOut: 2048,
  by: 'server',
  phase: 'data',
  code: 'done',
}
