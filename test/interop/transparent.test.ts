/**
 * Transparent mode and the original destination, with the kernel's own routing and NAT in a
 * network namespace. It takes root, or whoever may make one.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { engineKinds } from '../support/engines.js'
import { needs, runProgram } from './support/programs.js'

needs('unshare', 'ip', 'nft')

const child = fileURLToPath(new URL('../support/transparent-child.js', import.meta.url))
const SETUP = [
  'ip link set lo up',
  'ip route add local 192.0.2.0/24 dev lo',
  'ip route add local 198.51.100.0/24 dev lo',
].join(' && ')

async function inNamespace(...args: string[]): Promise<unknown> {
  const line = `${SETUP} && exec "$0" "$@"`
  const argv = ['-n', 'sh', '-c', line, process.execPath, child, ...args]
  const { code, stdout, stderr } = await runProgram('unshare', argv)
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout)
}

const options = { skip: !engineKinds.includes('native'), timeout: 60_000 }

test('transparent: the address that was asked for, and the client in person', options, async () => {
  assert.deepEqual(await inNamespace('transparent'), {
    client: { src: '198.51.100.9', dst: '192.0.2.55', port: 'ours' },
    isItself: true,
    seenByServer: '198.51.100.9',
    serverRecord: '127.0.0.1',
  })
})

// On a listener of both families the client is one of IPv4 all the same: NAT knows it so.
for (const host of ['0.0.0.0', '::']) {
  test(`the destination before a REDIRECT, listening on ${host}`, options, async () => {
    assert.deepEqual(await inNamespace('original', host), {
      client: { src: '198.51.100.9', dst: '192.0.2.55', port: 80 },
      isItself: true,
      seenByServer: '127.0.0.1',
      serverRecord: '127.0.0.1',
    })
  })
}
