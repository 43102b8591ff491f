/** A proxy between two others: what the header that goes out has of the one that came in. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildProxyV2 } from '#sluice/codec/proxy/build.js'
import { encodeTlv, parseTlvs } from '#sluice/codec/proxy/tlv.js'
import { createProxy } from '#sluice/proxy/create.js'
import { engineKinds } from '../support/engines.js'
import { memoryLogger } from '../support/harness.js'
import { dial, startServer } from '../support/net.js'

for (const kind of engineKinds) {
  test(`${kind}: TLVs of the header in go out, those of the largest size too`, async () => {
    const received: Buffer[] = []
    let arrived: () => void = () => {}
    const server = await startServer((socket) =>
      socket.on('data', (chunk: Buffer) => {
        received.push(chunk)
        arrived()
      }),
    )
    const { logger } = memoryLogger()
    const proxy = createProxy(
      {
        global: { maxconn: 20 },
        frontends: { web: { bind: { address: '127.0.0.1:0', acceptProxy: true }, backend: 'app' } },
        backends: {
          app: {
            servers: {
              a: {
                address: `127.0.0.1:${server.port}`,
                sendProxy: { version: 2, tlvs: true, crc32c: true },
              },
            },
          },
        },
      },
      { engine: kind, logger },
    )
    await proxy.start()
    const port = proxy.addresses.web?.[0]?.port as number
    for (const size of [5, 3_900]) {
      const value = Buffer.alloc(size, 'value')
      received.length = 0
      const header = buildProxyV2({
        src: Uint8Array.of(198, 51, 100, 7),
        dst: Uint8Array.of(198, 51, 100, 8),
        srcPort: 1,
        dstPort: 2,
        tlvs: encodeTlv(0xea, value),
        crc32c: true,
      })
      const socket = await dial(port)
      socket.write(Buffer.concat([header, Buffer.from('end')]))
      while (!Buffer.concat(received).toString('latin1').endsWith('end')) {
        await new Promise<void>((resolve) => {
          arrived = resolve
        })
      }
      // The same header: addresses, TLVs, and a checksum over the same bytes.
      const all = Buffer.concat(received)
      assert.ok(all.subarray(0, -3).equals(header))
      assert.ok(Buffer.from(parseTlvs(all.subarray(28)).get(0xea) ?? []).equals(value))
      socket.destroy()
    }
    await proxy.stop({ deadline: '0s' })
    await server.close()
  })
}
