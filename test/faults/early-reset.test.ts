/** Clients that connect, send and reset before the proxy has looked at them: no rule is escaped. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { cidrList, reject, track } from '#sluice/policy.js'
import type { ResetterData } from './programs/resetter.js'
import { faultTest, type Site } from './support.js'

const CLIENTS = 200
const program = new URL('./programs/resetter.js', import.meta.url)
const blocked = cidrList('127.0.0.0/8')

/** Runs the clients; `deaf`: this thread sees nothing of them before they have all gone. */
async function resetAll(port: number, deaf: boolean): Promise<void> {
  const progress = new Int32Array(new SharedArrayBuffer(4))
  const workerData: ResetterData = { port, count: CLIENTS, progress }
  const worker = new Worker(program, { workerData })
  const done = once(worker, 'exit')
  if (deaf) {
    // The thread starts with this one's help.
    while (progress[0] === 0) await delay(1)
    for (let n = Atomics.load(progress, 0); n < CLIENTS; n = Atomics.load(progress, 0)) {
      Atomics.wait(progress, 0, n)
    }
  }
  await done
}

/** Every client is counted and told; who is not tracked was judged by nobody, and served by nobody. */
async function check(site: Site): Promise<void> {
  await site.until(() => site.records.length >= CLIENTS, 'every client has a record')
  assert.equal(site.records.length, CLIENTS)
  assert.equal(site.proxy.stats().frontends.web?.connections, CLIENTS)
  const known = site.records.filter(({ src }) => src === '127.0.0.1')
  const unknown = site.records.filter(({ src }) => src !== '127.0.0.1')
  for (const { src, by, phase, code } of unknown) {
    assert.equal(src, '')
    assert.equal(`${by} ${phase} ${code}`, 'client accept reset')
  }
  // The native engine has the address from accept() itself.
  if (site.kind === 'native') assert.equal(unknown.length, 0)
  assert.equal(site.proxy.tables.t?.get('127.0.0.1')?.connCnt ?? 0, known.length)
  assert.equal(site.upstream.all.length, 0, 'a server was reached')
}

const tables = { t: { key: 'ip', size: 10, store: { connCnt: true } } } as const

for (const deaf of [true, false]) {
  faultTest(
    `${CLIENTS} clients of a blocked address connect, send and reset, ${deaf ? 'unseen' : 'as they come'}`,
    {
      frontend: {
        rules: {
          connection: [
            track('sc0', (conn) => conn.src, 't'),
            (conn) => (blocked.has(conn.src) ? reject() : undefined),
          ],
        },
      },
      config: { tables },
    },
    async (site) => {
      await resetAll(site.port, deaf)
      await check(site)
    },
  )
}

faultTest(
  'clients of a blocked address reset before their PROXY header and rules are looked at',
  {
    frontend: {
      bind: { address: '127.0.0.1:0', acceptProxy: { from: ['192.0.2.1'] } },
      rules: { connection: [track('sc0', (conn) => conn.src, 't')] },
    },
    config: { tables },
  },
  async (site) => {
    await resetAll(site.port, true)
    await site.until(() => site.records.length >= CLIENTS, 'every client has a record')
    for (const { src, by, phase, code } of site.records) {
      const reason = `${by} ${phase} ${code}`
      if (src === '') assert.equal(reason, 'client accept reset')
      else assert.match(reason, /^(proxy accept-proxy proxy-untrusted|client accept-proxy reset)$/)
    }
    assert.equal(site.upstream.all.length, 0, 'a server was reached')
  },
)
