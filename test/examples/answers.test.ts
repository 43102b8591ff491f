/** Recipes that answer themselves or ask somebody: maintenance, authorization. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { flagFile } from '../../examples/maintenance/flag-file.js'
import { engineKinds } from '../support/engines.js'
import { serveNamed } from './servers.js'
import { eventually, type RunningExample, runExample } from './support.js'

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-example-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

async function request({ connect }: RunningExample, from = '127.0.0.1'): Promise<string> {
  const client = await connect('web', { from })
  await client.send('GET / HTTP/1.0\r\n\r\n')
  client.fin()
  return (await client.readToEnd()).toString()
}

test('a flag file is looked for once in a second at most', (t) => {
  const file = join(temporaryFolder(t), 'flag')
  let now = 0
  const flag = flagFile(file, 1_000, () => now)
  assert.equal(flag(), false)
  writeFileSync(file, '')
  now = 999
  assert.equal(flag(), false)
  now = 1_000
  assert.equal(flag(), true)
  rmSync(file)
  now = 1_999
  assert.equal(flag(), true)
  now = 2_000
  assert.equal(flag(), false)
})

/** An authorisation service; what it is asked is in `asked`. */
async function service(t: TestContext, answer: RequestListener): Promise<string[]> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(new URL(request.url ?? '', 'http://a').searchParams.get('source') ?? '')
    answer(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  process.env.AUTHORIZATION_URL = `http://127.0.0.1:${port}/authorize`
  t.after(() => {
    delete process.env.AUTHORIZATION_URL
    server.closeAllConnections()
    server.close()
  })
  return asked
}

for (const kind of engineKinds) {
  test(`${kind}: maintenance answers while the file is there`, async (t) => {
    const file = join(temporaryFolder(t), 'maintenance')
    process.env.MAINTENANCE_FILE = file
    t.after(() => delete process.env.MAINTENANCE_FILE)
    const servers = { 'app/a': await serveNamed(t, 'app') }
    const running = await runExample(t, kind, 'maintenance', { servers })
    assert.equal(await request(running), 'app:GET / HTTP/1.0\r\n\r\n')
    writeFileSync(file, '')
    let answer = ''
    await eventually('the answer', async () => {
      answer = await request(running)
      return !answer.startsWith('app:')
    })
    assert.match(answer, /^HTTP\/1\.1 503 Service Unavailable\r\n/)
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    assert.equal(Number(/content-length: (\d+)/.exec(head)?.[1]), body.length)
    rmSync(file)
    await eventually('the end of it', async () => (await request(running)).startsWith('app:'))
  })

  test(`${kind}: authorization asks once for a source and remembers`, async (t) => {
    const asked = await service(t, ({ url }, response) => {
      response.statusCode = url?.endsWith('127.0.0.2') ? 403 : 200
      response.end()
    })
    const servers = { 'app/a': await serveNamed(t, 'app') }
    const running = await runExample(t, kind, 'authorization', { servers })
    for (let i = 0; i < 3; i++) {
      assert.match(await request(running, '127.0.0.1'), /^app:/)
      const refused = await running.connect('web', { from: '127.0.0.2' })
      await refused.ending()
      assert.equal(refused.received, 0)
    }
    assert.deepEqual(asked, ['127.0.0.1', '127.0.0.2'])
    const { code, rule } = await running.record(1)
    assert.deepEqual([code, rule], ['rejected', 'authorization/authorize'])
  })

  test(`${kind}: authorization lets in when the service is silent, and says so`, async (t) => {
    const asked = await service(t, () => {})
    const servers = { 'app/a': await serveNamed(t, 'app') }
    const running = await runExample(t, kind, 'authorization', { servers })
    assert.match(await request(running), /^app:/)
    assert.equal(asked.length, 1)
    assert.equal(running.proxy.stats().frontends.web?.lateVerdicts, 1)
    assert.ok(
      running.lines.some(
        ({ msg }) => msg === 'rule authorization/authorize did not answer in time',
      ),
    )
  })

  test(`${kind}: authorization lets in when the service fails`, async (t) => {
    await service(t, (_request, response) => {
      response.statusCode = 500
      response.end()
    })
    const servers = { 'app/a': await serveNamed(t, 'app') }
    const running = await runExample(t, kind, 'authorization', { servers })
    assert.match(await request(running), /^app:/)
    assert.equal(running.proxy.stats().frontends.web?.policyErrors, 1)
    assert.ok(running.lines.some(({ msg }) => msg === 'rule authorization/authorize failed'))
  })
}
