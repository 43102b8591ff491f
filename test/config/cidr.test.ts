import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConfigError, type SluiceError } from '#sluice/base/errors.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { Config } from '#sluice/config/types.js'
import { cidrFile, cidrList } from '#sluice/policy/cidr.js'
import { createTestProxy } from '#sluice/testing/index.js'

const expected = "expected a CIDR block or an address such as '10.0.0.0/8' or '2001:db8::/32', got"

/** Text, and what follows the text in the message; undefined where it is right. */
const cases: [string, string | undefined][] = [
  ['10.0.0.0/8', undefined],
  ['10.1.2.3/8', undefined],
  ['0.0.0.0/0', undefined],
  ['::/0', undefined],
  ['fe80::/10', undefined],
  ['192.0.2.1', undefined],
  ['::1/128', undefined],
  ['::ffff:10.0.0.0/104', undefined],
  ['::ffff:10.0.0.1', undefined],
  ['::FFFF:0:0/96', undefined],
  ['', '.'],
  ['x', '.'],
  ['/8', '.'],
  ['10.0.0/8', '.'],
  ['010.0.0.0/8', '.'],
  ['10.0.0.0/8/8', ': the prefix length of IPv4 goes from 0 to 32.'],
  ['10.0.0.0/', ': the prefix length of IPv4 goes from 0 to 32.'],
  ['10.0.0.0/-1', ': the prefix length of IPv4 goes from 0 to 32.'],
  ['10.0.0.0/ 8', ': the prefix length of IPv4 goes from 0 to 32.'],
  ['10.0.0.0/33', ': the prefix length of IPv4 goes from 0 to 32.'],
  [
    '10.0.0.0/08',
    ": the prefix length of IPv4 goes from 0 to 32, without leading zeros: '10.0.0.0/8'.",
  ],
  ['10.0.0.0/255.0.0.0', ": the prefix length of IPv4 goes from 0 to 32: write '10.0.0.0/8'."],
  ['10.0.0.0/0.0.0.255', ': the prefix length of IPv4 goes from 0 to 32.'],
  ['::/129', ': the prefix length of IPv6 goes from 0 to 128.'],
  ['::ffff:10.0.0.0/8', ': the prefix length of IPv4-mapped addresses goes from 96 to 128.'],
  ['::ffff:10.0.0.0/95', ': the prefix length of IPv4-mapped addresses goes from 96 to 128.'],
  ['fe80::1%eth0', ": addresses are compared without their scope, write 'fe80::1'."],
  ['fe80::%1/10', ": addresses are compared without their scope, write 'fe80::/10'."],
  ['fe80::1%', '.'],
  ['127.0.0.1%lo', '.'],
]

function written(from: string[], monitor: string[] = ['10.0.0.1']): Config {
  return {
    frontends: {
      web: {
        bind: { address: '127.0.0.1:0', acceptProxy: { from } },
        monitor: { from: monitor },
        backend: 'app',
      },
    },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
  }
}

function issues(config: Config): { path: string; message: string }[] {
  try {
    resolveConfig(config, { env: {} })
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.issues.map(({ path, message }) => ({ path, message }))
  }
}

for (const [text, rest] of cases) {
  test(`${JSON.stringify(text)} is ${rest ? 'refused' : 'taken'} wherever addresses are listed`, (t) => {
    const message = `${expected} '${text}'${rest}`
    const refused = (path: string) => (rest ? [{ path, message }] : [])
    assert.deepEqual(
      issues(written(['10.0.0.1', text])),
      refused('frontends.web.bind.acceptProxy.from[1]'),
    )
    assert.deepEqual(
      issues(written(['10.0.0.1'], [text])),
      refused('frontends.web.monitor.from[0]'),
    )

    const folder = mkdtempSync(join(tmpdir(), 'sluice-cidr-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'list')
    writeFileSync(file, `# a comment\n${text}\n`)
    const load = () => cidrFile(file, { interval: '0s' }).close()
    if (!rest) {
      cidrList(text)
      load()
      return
    }
    assert.throws(() => cidrList('::1', text), { code: 'ERR_SLUICE_ARGUMENT', message })
    // A line with nothing on it, or with white space around a block, is no mistake in a file.
    if (text === '') load()
    else assert.throws(load, { code: 'ERR_SLUICE_ARGUMENT', message: `${file}:2: ${message}` })
  })
}

/** Text that is nearly a block, so that every rule of the grammar is met. */
const nearly = fc
  .tuple(
    fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.ipV4().map((ip) => `::ffff:${ip}`),
    ),
    fc.constantFrom('', '', '%eth0', '%', ' ', '.', ':'),
    fc.constantFrom('', '/', '/0', '/8', '/08', '/32', '/33', '/96', '/128', '/129', '/8/8', '/x'),
  )
  .map((parts) => parts.join(''))

test('what the check takes starts, and what starts the check takes', () => {
  fc.assert(
    fc.property(nearly, (text) => {
      const found = issues(written([text], [text]))
      let error: SluiceError | undefined
      try {
        cidrList(text)
      } catch (thrown) {
        error = thrown as SluiceError
      }
      assert.deepEqual(
        found.map(({ message }) => message),
        error ? [error.message, error.message] : [],
        text,
      )
    }),
    { numRuns: 2000 },
  )
})

test('a mapped block counts IPv4 clients', async () => {
  const config = written(['10.0.0.1'], ['::ffff:192.0.2.0/120'])
  await using proxy = await createTestProxy(config)
  const { replyText } = await proxy.connect({ src: '192.0.2.7' })
  assert.match(replyText, /^HTTP\/1.0 200 OK/)
})
