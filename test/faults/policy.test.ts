/** Policies that throw, reject, never answer, answer twice, or answer nonsense. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { FrontendConfig } from '#sluice/config/types.js'
import { defineApplet, type Rule, reject, track } from '#sluice/policy.js'
import { faultTest, type Site, type SiteOptions } from './support.js'

/** Fails for the first connection only: the next one is served. */
function first<T>(fail: () => T, well: () => T): () => T {
  let turn = 0
  return () => (turn++ === 0 ? fail() : well())
}

type Failure = 'throws' | 'rejects' | 'never answers' | 'answers nonsense'

const failures: Record<Failure, () => unknown> = {
  throws: () => {
    throw new Error('on purpose')
  },
  rejects: () => Promise.reject(new Error('on purpose')),
  'never answers': () => new Promise(() => {}),
  'answers nonsense': () => 42,
}

const late = { name: 'flaky', deadline: '150ms' }

function rule(failure: Failure): Rule {
  const run = first<unknown>(failures[failure], () => undefined)
  return { ...late, run } as unknown as Rule
}

const places: [string, string, (failure: Failure) => Partial<FrontendConfig>][] = [
  ['a connection rule', 'tcp-rules', (f) => ({ rules: { connection: [rule(f)] } })],
  ['a session rule', 'accept-session', (f) => ({ rules: { session: [rule(f)] } })],
  ['a handshake rule', 'handshake', (f) => ({ rules: { handshake: [rule(f) as never] } })],
]

for (const [place, phase, frontend] of places) {
  for (const failure of Object.keys(failures) as Failure[]) {
    const isLate = failure === 'never answers'
    const expected = isLate ? `timeout ${phase} verdict-timeout` : `policy ${phase} policy-error`
    const run = async (site: Site) => {
      const client = await site.dial()
      await client.send('?')
      await client.ending()
      assert.equal(await site.ending(0), expected)
      assert.equal(site.records[0]?.rule, 'flaky')
      const named = site.lines.filter(({ msg }) => msg.includes('flaky'))
      if (!isLate) assert.equal(named.length, 1, 'one line names it')
      await site.serves()
    }
    const options = (): SiteOptions => ({ frontend: frontend(failure) })
    faultTest(`policy: ${place} ${failure}`, options, run, { failing: true })

    // Where the default is to open, it costs the connection nothing but the rule.
    if (phase === 'handshake') continue
    const open = (): SiteOptions => ({
      frontend: { ...frontend(failure), onError: 'open' },
    })
    faultTest(
      `policy: ${place} ${failure}, the default is to open`,
      open,
      async (site) => {
        const client = await site.dial()
        await client.send('?')
        const server = await site.upstream.accept()
        await server.expect('?')
        await site.serves()
      },
      { failing: true },
    )
  }
}

faultTest(
  'policy: a promise that settles twice is answered once',
  {
    frontend: {
      rules: {
        connection: [
          {
            name: 'twice',
            // A thenable of somebody's own, which calls back as often as it likes.
            run: () =>
              ({
                // biome-ignore lint/suspicious/noThenProperty: that is the point
                then(done: (answer: unknown) => void, failed: (error: unknown) => void) {
                  setTimeout(() => {
                    done(undefined)
                    done(reject())
                    failed(new Error('and a third time'))
                  }, 5)
                },
              }) as Promise<undefined>,
          },
        ],
      },
    },
  },
  (site) => site.serves(),
)

faultTest(
  'policy: an answer after its deadline changes nothing',
  {
    frontend: {
      rules: {
        connection: [
          { name: 'slow', deadline: '50ms', run: () => delay(250).then(() => reject()) },
        ],
      },
      onError: 'open',
    },
  },
  async (site) => {
    const { client, server } = await site.pair()
    await delay(300)
    await client.send('still here')
    await server.expect('still here')
    client.fin()
    server.fin()
    assert.match(await site.ending(0), /data done$/)
  },
)

faultTest(
  'policy: a key function that throws',
  () => ({
    config: { tables: { t: { key: 'ip', size: 10, store: { connCur: true } } } },
    frontend: {
      rules: {
        connection: [
          track(
            'sc0',
            first<string>(
              () => {
                throw new Error('on purpose')
              },
              () => '192.0.2.1',
            ),
            't',
          ),
        ],
      },
    },
  }),
  async (site) => {
    const client = await site.dial()
    await client.ending()
    assert.equal(await site.ending(0), 'policy tcp-rules policy-error')
    await site.serves()
  },
  { failing: true },
)

for (const [what, serve] of [
  ['throws', () => Promise.reject(new Error('on purpose'))],
  [
    'throws at once',
    () => {
      throw new Error('on purpose')
    },
  ],
] as const) {
  faultTest(
    `policy: an applet that ${what}`,
    { backend: { servers: { a: defineApplet('broken', serve as () => Promise<void>) } } },
    async (site) => {
      const client = await site.dial()
      await client.ending()
      assert.match(await site.ending(0), /^policy \S+ applet-error$/)
    },
    { failing: true },
  )
}

faultTest(
  'policy: an applet that ends and resets in one turn',
  {
    backend: {
      servers: {
        a: defineApplet('hasty', async (stream) => {
          await stream.read()
          stream.end().catch(() => {})
          stream.reset()
        }),
      },
    },
  },
  async (site) => {
    for (let n = 0; n < 5; n++) {
      const client = await site.dial()
      await client.send('?')
      await client.ending()
      client.fin()
      assert.match(await site.ending(n), /^policy \S+ \S+$/)
    }
  },
)

/** Lets the applet read at last. */
let listen = () => {}

faultTest(
  'policy: an applet that does not read is held back, and the client may leave',
  {
    backend: {
      servers: {
        a: defineApplet('deaf', async (stream) => {
          const told = new Promise<void>((resolve) => {
            listen = resolve
          })
          stream.signal.addEventListener('abort', listen)
          await told
          while ((await stream.read()) !== undefined);
        }),
      },
    },
  },
  async (site) => {
    const client = await site.dial()
    client.socket.write(Buffer.alloc(20_000_000))
    await delay(100)
    assert.equal(site.records.length, 0, 'it has not ended')
    client.reset()
    // Node does not see a reset while nobody reads, and libuv makes it an end where bytes are
    // unread before it. The native engine ends the session by itself.
    if (site.kind === 'js') listen()
    const { by, code, bytesIn } = await site.record(0)
    if (site.kind === 'js') assert.match(`${by} ${code}`, /^client (reset|done)$/)
    else assert.equal(`${by} ${code}`, 'client reset')
    if (site.kind === 'native') assert.ok(bytesIn < 2_000_000, 'nobody asked for more')
  },
  { failing: true },
)

/** A rule that rejects once it is told to. */
function gate(): { rule: Rule; open: () => void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { rule: { name: 'gate', run: () => opened.then(() => reject()) }, open: () => open() }
}

for (const stage of ['connection', 'handshake', 'session'] as const) {
  const gates: ReturnType<typeof gate>[] = []
  faultTest(
    `policy: a reject of a ${stage} rule is a FIN, whatever the client has sent`,
    () => {
      gates.push(gate())
      return { frontend: { rules: { [stage]: [(gates.at(-1) as (typeof gates)[0]).rule] } } }
    },
    async (site) => {
      const client = await site.dial()
      // More than one read takes.
      for (let i = 0; i < 4; i++) await client.send(Buffer.alloc(8192, 'x'))
      gates.at(-1)?.open()
      assert.equal(await client.ending(), 'fin')
      const { by, code } = await site.record(0)
      assert.equal(`${by} ${code}`, 'policy rejected')
    },
  )
}
