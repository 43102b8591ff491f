/** What `sluice init` writes. A test keeps it equal to examples/quickstart/sluice.config.ts. */

export const configTemplate = `/**
 * A first proxy. Clients come in at the frontend 'web', a rule looks at each
 * connection, and the backend 'app' answers: with two servers that live in this
 * very process, so that there is nothing else to start.
 *
 *   sluice run       then, in another terminal: curl http://127.0.0.1:8080/
 *   sluice check     says what is wrong with this file, if anything is
 */
import { defineConfig } from 'sluice'
import { type Connection, defineApplet, defineTable, reply } from 'sluice/policy'

/** An applet stands where a server would: it reads what the client sends and answers. */
const hello = (name: string) =>
  defineApplet(\`hello-\${name}\`, async (stream, conn) => {
    await stream.read() // The request. One read is enough for a greeting.
    const body = \`Hello \${conn.src}, this is server \${name}.\\n\`
    const head = \`HTTP/1.1 200 OK\\r\\ncontent-type: text/plain\\r\\ncontent-length: \${body.length}\`
    await stream.write(\`\${head}\\r\\nconnection: close\\r\\n\\r\\n\${body}\`)
  })

/** A stick table: what is known about each source address, at most 100 000 of them. */
const sources = defineTable({ key: 'ip', size: 100_000, expire: '10m', store: { connRate: '10s' } })

/** A rule is a function with the connection in hand. No answer means: go on with the next rule. */
function tooFast(conn: Connection) {
  const { connRate } = sources.track(conn)
  if (connRate <= 50) return
  conn.log.warn({ connRate }, 'too many connections from one source')
  return reply('HTTP/1.1 429 Too Many Requests\\r\\ncontent-length: 0\\r\\nconnection: close\\r\\n\\r\\n')
}

/** 'sluice run' prints this line, for you to try. */
export const tryIt = 'curl http://127.0.0.1:8080/'

export default defineConfig({
  tables: { sources },
  frontends: {
    web: {
      bind: '127.0.0.1:8080',
      backend: 'app',
      rules: {
        // Before a session exists.
        connection: [tooFast],
      },
    },
  },
  backends: {
    app: {
      balance: 'roundrobin',
      // Real servers are addresses: { a: '10.0.0.1:80', b: { address: '10.0.0.2:80', weight: 2 } }
      servers: { a: hello('a'), b: hello('b') },
    },
  },
  timeouts: { client: '30s', server: '30s', connect: '5s' },
})
`

/** For a file that ends in .json, which can hold neither comments nor functions. */
export const jsonTemplate = `{
  "tables": {
    "affinity": { "key": "ip", "size": 100000, "expire": "30m", "store": { "serverId": true } }
  },
  "frontends": {
    "web": { "bind": "127.0.0.1:8080", "backend": "app" }
  },
  "backends": {
    "app": {
      "balance": "leastconn",
      "stick": { "table": "affinity" },
      "servers": { "a": "127.0.0.1:9001", "b": { "address": "127.0.0.1:9002", "weight": 2 } }
    }
  },
  "timeouts": { "client": "30s", "server": "30s", "connect": "5s" }
}
`
