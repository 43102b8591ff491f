/** The plugin blocklist, without a network. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type BlocklistOptions, blocklist } from 'sluice/plugins/blocklist'
import { createTestProxy } from 'sluice/testing'
import { eventually } from '../examples/support.js'

function start(options: BlocklistOptions) {
  return createTestProxy({
    frontends: { web: { bind: '127.0.0.1:80', backend: 'app' } },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
    use: [blocklist(options)],
  })
}

function listFile(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-blocklist-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'blocked.txt')
  writeFileSync(file, text)
  return file
}

test('sources of the list and of the file are refused, and counted', async (t) => {
  const file = listFile(t, '192.0.2.0/24\n# nobody\n2001:db8:bad::/48\n')
  await using proxy = await start({ file, networks: ['198.51.100.7'], reset: true })
  for (const src of ['192.0.2.9', '2001:db8:bad::1', '198.51.100.7']) {
    const { verdict, rule, reason } = await proxy.connect({ src })
    assert.deepEqual([verdict, rule], ['reset', 'blocklist/blockedSource'], src)
    assert.equal(reason?.code, 'rejected')
  }
  assert.equal((await proxy.connect({ src: '198.51.100.8' })).verdict, 'accepted')
  const { blocked_total, networks } = proxy.stats().plugins.blocklist ?? assert.fail()
  assert.deepEqual(blocked_total?.values, [{ labels: { frontend: 'web' }, value: 3 }])
  assert.deepEqual(networks?.values, [{ labels: {}, value: 3 }])
})

test('the file is looked at by the proxy’s clock, and a bad one changes nothing', async (t) => {
  const file = listFile(t, '192.0.2.1\n')
  await using proxy = await start({ file, interval: '10s' })
  const verdictOf = async (src: string) => (await proxy.connect({ src })).verdict
  assert.equal(await verdictOf('192.0.2.1'), 'rejected')
  writeFileSync(file, '192.0.2.2\n192.0.2.3\n')
  await eventually('a reload', async () => {
    await proxy.advance('10s')
    return (await verdictOf('192.0.2.2')) === 'rejected'
  })
  assert.equal(await verdictOf('192.0.2.1'), 'accepted')
  const stats = () => proxy.stats().plugins.blocklist ?? assert.fail()
  assert.equal(stats().networks?.values[0]?.value, 2)
  writeFileSync(file, 'nonsense\n')
  await eventually('a complaint', async () => {
    await proxy.advance('10s')
    return stats().errors_total?.values[0]?.value === 1
  })
  assert.equal(await verdictOf('192.0.2.2'), 'rejected')
  const line = proxy.logs.find(({ msg }) => msg === 'the block list is bad: the old one stays')
  assert.equal(line?.plugin, 'blocklist')
})

test('a file that is bad at the start, or no list at all, is a mistake of the configuration', async (t) => {
  const file = listFile(t, '192.0.2.1\n300.1.1.1\n')
  const told = (options: BlocklistOptions) => start(options).then(() => '', String)
  assert.match(
    await told({ file }),
    /plugins\[0\]: plugin 'blocklist' cannot be set up: .*blocked\.txt:2: .*'300\.1\.1\.1'/,
  )
  assert.match(await told({ file: `${file}x` }), /plugins\[0\]: .*no such file/)
  assert.match(await told({}), /plugins\[0\]: .*needs 'file' or 'networks'\./)
  assert.match(await told({ networks: ['10.0.0.0/33'] }), /plugins\[0\]\.networks\[0\]: /)
})
