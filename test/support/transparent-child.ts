/**
 * A native engine in a network namespace of its own (test/interop/transparent.test.ts), with
 * addresses that no interface has. Prints what the client's record, the server's and the server
 * itself say of one session.
 */

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { Field } from '#sluice/wire/wire.js'
import { Harness } from './engine-harness.js'

const run = (line: string) => execFileSync('sh', ['-c', line])
/** 'transparent', or 'original' with the address to listen on. */
const [mode, host = '0.0.0.0'] = process.argv.slice(2)

const h = await Harness.start('native')
const upstream = createServer()
upstream.listen(0, '127.0.0.1')
await once(upstream, 'listening')
const transparent = mode === 'transparent'
const { address } = await h.listen({
  address: { kind: 'tcp', host, port: 0, ...(host === '::' && { v6only: false }) },
  transparent,
  originalDst: !transparent,
})
h.route((upstream.address() as AddressInfo).port, transparent ? { source: 'client' } : {})
if (!transparent) {
  run('nft add table ip nat')
  run("nft 'add chain ip nat output { type nat hook output priority -100 ; }'")
  run(`nft add rule ip nat output ip daddr 192.0.2.55 tcp dport 80 redirect to :${address.port}`)
}
const client = connect({
  host: '192.0.2.55',
  port: transparent ? address.port : 80,
  localAddress: '198.51.100.9',
})
const accepted = once(upstream, 'connection')
await once(client, 'connect')
const [server] = (await accepted) as [Socket]
const { conn } = await h.next('connected')
const peer = h.record(h.engine.table.get(conn, Field.PEER))
const { src, srcPort, dst, dstPort } = h.record(conn)
console.log(
  JSON.stringify({
    client: { src, dst, port: dstPort === address.port ? 'ours' : dstPort },
    isItself: srcPort === client.localPort,
    seenByServer: server.remoteAddress,
    serverRecord: peer.dst,
  }),
)
process.exit(0)
