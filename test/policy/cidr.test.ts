import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import type { SluiceError } from '#sluice/base/errors.js'
import { CidrList, cidrFile, cidrList } from '#sluice/policy/cidr.js'
import { naiveBytes } from '../address/naive-address.js'
import { ManualClock } from '../tables/clock.js'

/** Matching as one would write it down: bit by bit, with another parser. */
function naive(cidrs: readonly string[], address: string): boolean {
  const bits = (text: string) =>
    naiveBytes(text)
      .map((byte) => byte.toString(2).padStart(8, '0'))
      .join('')
  const subject = bits(address)
  return cidrs.some((cidr) => {
    const [network = '', length] = cidr.split('/')
    const block = bits(network)
    const prefix = Number(length ?? block.length)
    return block.length === subject.length && subject.startsWith(block.slice(0, prefix))
  })
}

const ipv4 = fc
  .uint32Array({ minLength: 1, maxLength: 1 })
  .map(([word = 0]) => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255].join('.'))
/** Close together, so that blocks nest, touch and are hit. */
const near4 = fc.tuple(fc.nat(3), fc.nat(15)).map(([a, b]) => `10.0.${a}.${b * 16}`)
const near6 = fc
  .tuple(fc.nat(3), fc.nat(15), fc.nat(3))
  .map(([a, b, c]) => `2001:db8:0:${a}:${b.toString(16)}000::${c}`)
const address = fc.oneof(ipv4, near4, near6, fc.ipV6())
const cidr = fc.oneof(
  fc.tuple(ipv4, fc.nat(32)).map(([text, prefix]) => `${text}/${prefix}`),
  fc.tuple(near4, fc.integer({ min: 20, max: 32 })).map(([text, prefix]) => `${text}/${prefix}`),
  fc.tuple(near6, fc.integer({ min: 40, max: 128 })).map(([text, prefix]) => `${text}/${prefix}`),
  near4,
  near6,
)

test('matches what a naive matcher matches', () => {
  fc.assert(
    fc.property(fc.array(cidr, { maxLength: 30 }), fc.array(address), (cidrs, addresses) => {
      const list = new CidrList(cidrs)
      assert.equal(list.size, cidrs.length)
      for (const address of addresses) {
        assert.equal(list.has(address), naive(cidrs, address), `${address} in ${cidrs}`)
      }
    }),
    { numRuns: 3000 },
  )
})

test('the bounds of a block are in it and their neighbours are not', () => {
  for (let prefix = 1; prefix <= 32; prefix++) {
    const first = (0xac10_0000 & (prefix === 32 ? -1 : ~(0xffff_ffff >>> prefix))) >>> 0
    const last = first + 2 ** (32 - prefix) - 1
    const text = (word: number) =>
      [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255].join('.')
    const list = cidrList(`${text(first)}/${prefix}`)
    const inside = [first - 1, first, last, last + 1].map((word) => list.has(text(word)))
    assert.deepEqual(inside, [false, true, true, false], `/${prefix}`)
  }
  const list = cidrList('2001:db8::/33')
  assert.ok(list.has('2001:db8:7fff:ffff:ffff:ffff:ffff:ffff'))
  assert.ok(!list.has('2001:db8:8000::'))
  assert.ok(!list.has('2001:db7:ffff:ffff:ffff:ffff:ffff:ffff'))
})

test('everything, nothing, and what is no address', () => {
  const all = cidrList('0.0.0.0/0', '::/0')
  for (const text of ['0.0.0.0', '255.255.255.255', '::', 'ffff::ffff', '::ffff:1.2.3.4']) {
    assert.ok(all.has(text), text)
    assert.ok(!cidrList().has(text), text)
  }
  for (const text of ['', 'localhost', '1.2.3', '1.2.3.4/32', '/run/a.sock']) {
    assert.ok(!all.has(text), text)
  }
})

test('IPv4-mapped IPv6 is IPv4, in addresses and in blocks', () => {
  const list = cidrList('10.0.0.0/8', '::ffff:192.168.0.0/112')
  assert.ok(list.has('::ffff:10.1.2.3'))
  assert.ok(list.has('::ffff:a01:203'))
  assert.ok(list.has('192.168.255.1'))
  assert.ok(!list.has('::10.1.2.3'))
  assert.ok(!cidrList('::/0').has('::ffff:10.1.2.3'))
})

test('a list in place of blocks is told to be spread', () => {
  const blocks = ['10.0.0.0/8', '::1'] as const
  assert.throws(() => cidrList(blocks as never), {
    code: 'ERR_SLUICE_ARGUMENT',
    message:
      'expected CIDR blocks as text, got a list; blocks of a list are spread: cidrList(...blocks).',
  })
  assert.throws(() => cidrList(10 as never), {
    code: 'ERR_SLUICE_ARGUMENT',
    message: 'expected CIDR blocks as text, got 10.',
  })
  assert.equal(cidrList(...blocks).size, 2)
})

test('what is no block is an error that says what was expected', () => {
  const bad = ['', '10.0.0.0/33', '10.0.0/8', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/8/8', '::/129']
  for (const text of [
    ...bad,
    'fe80::1%eth0',
    'all',
    '10.0.0.0/-1',
    '10.0.0.0/255.0.0.0',
    '::ffff:1.2.3.4/64',
  ]) {
    assert.throws(
      () => cidrList('10.0.0.0/8', text),
      {
        code: 'ERR_SLUICE_ARGUMENT',
        message: /^expected a CIDR block or an address such as '10\.0\.0\.0\/8' .*, got '/,
      },
      text,
    )
  }
})

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-cidr-'))
  t.after(() => rmSync(path, { recursive: true }))
  return path
}

test('a file has one block a line, with comments', (t) => {
  const path = join(folder(t), 'list.txt')
  writeFileSync(path, '\uFEFF# blocked\r\n10.0.0.0/8  # office\r\n\r\n\t::1\r\n192.0.2.1')
  using list = cidrFile(path, { interval: '0s' })
  assert.equal(list.size, 3)
  assert.deepEqual(
    ['10.9.9.9', '::1', '192.0.2.1', '192.0.2.2'].map((a) => list.has(a)),
    [true, true, true, false],
  )
})

test('a bad line or a missing file is an error with file and line', (t) => {
  const path = join(folder(t), 'list.txt')
  const missing = { code: 'ERR_SLUICE_ARGUMENT', message: new RegExp(`^${path}: .*no such file`) }
  assert.throws(() => cidrFile(path), missing)
  writeFileSync(path, '10.0.0.0/8\n\n10.0.0.0/40 # too long\n')
  assert.throws(() => cidrFile(path), {
    code: 'ERR_SLUICE_ARGUMENT',
    message: new RegExp(`^${path}:3: expected .*, got '10\\.0\\.0\\.0/40'`),
  })
})

test('reload takes a good file and keeps the list for a broken one', async (t) => {
  const path = join(folder(t), 'list.txt')
  const errors: SluiceError[] = []
  writeFileSync(path, '10.0.0.0/8\n')
  using list = cidrFile(path, { interval: '0s', onBadFile: (error) => errors.push(error) })
  writeFileSync(path, '11.0.0.0/8\n12.0.0.0/8\n')
  assert.equal(await list.reload(), true)
  assert.deepEqual([list.has('10.0.0.1'), list.has('12.0.0.1'), list.size], [false, true, 2])

  writeFileSync(path, '10.0.0.0/8\nnonsense\n')
  assert.equal(await list.reload(), false)
  assert.deepEqual([list.has('10.0.0.1'), list.has('12.0.0.1'), list.size], [false, true, 2])
  assert.match(list.lastError?.message ?? '', new RegExp(`^${path}:2: .*'nonsense'`))
  assert.deepEqual(errors, [list.lastError])

  rmSync(path)
  assert.equal(await list.reload(), false)
  assert.match(list.lastError?.message ?? '', /no such file/)
  writeFileSync(path, '13.0.0.0/8\n')
  assert.equal(await list.reload(), true)
  assert.deepEqual([list.lastError, list.has('13.0.0.1'), errors.length], [undefined, true, 2])
})

test('a reload of many lines reports the line, and the last of several reloads sees the last file', async (t) => {
  const path = join(folder(t), 'list.txt')
  const many = (last: string) =>
    `${Array.from({ length: 10_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`).join('\n')}\n${last}\n`
  writeFileSync(path, '10.0.0.0/8\n')
  using list = cidrFile(path, { interval: '0s' })
  writeFileSync(path, many('oops'))
  assert.equal(await list.reload(), false)
  assert.match(list.lastError?.message ?? '', /:10001: .*'oops'/)
  const first = list.reload()
  writeFileSync(path, many('192.0.2.1'))
  await Promise.all([first, list.reload()])
  assert.deepEqual([list.size, list.has('192.0.2.1')], [10_001, true])
})

test('a throwing callback is a warning', async (t) => {
  const path = join(folder(t), 'list.txt')
  writeFileSync(path, '10.0.0.0/8\n')
  using list = cidrFile(path, {
    interval: '0s',
    onReload: () => {
      throw new Error('callback failed')
    },
  })
  const warning = once(process, 'warning')
  assert.equal(await list.reload(), true)
  assert.match(String((await warning)[0]), /callback failed/)
})

/** Lets one interval pass, and the look at the file come to its end. */
async function interval(clock: ManualClock): Promise<void> {
  clock.advance(1000)
  while (clock.pending === 0) await nextTurn()
}

test('a changed file is loaded once it was left alone for an interval', async (t) => {
  const path = join(folder(t), 'list.txt')
  const clock = new ManualClock()
  const errors: string[] = []
  let reloads = 0
  writeFileSync(path, '10.0.0.0/8\n')
  using list = cidrFile(path, {
    clock,
    onReload: () => reloads++,
    onBadFile: (error) => errors.push(error.message),
  })
  for (let i = 0; i < 3; i++) await interval(clock)
  assert.equal(reloads, 0)

  writeFileSync(path, '11.0.0')
  await interval(clock)
  writeFileSync(path, '11.0.0.0/8\n')
  await interval(clock)
  assert.deepEqual([reloads, errors, list.has('10.0.0.1')], [0, [], true])
  await interval(clock)
  assert.deepEqual([reloads, list.has('10.0.0.1'), list.has('11.0.0.1')], [1, false, true])
  await interval(clock)
  assert.equal(reloads, 1)

  // The same size and time of change, by a rename.
  writeFileSync(`${path}.new`, '12.0.0.0/8\n')
  utimesSync(`${path}.new`, 1, 1)
  utimesSync(path, 1, 1)
  renameSync(`${path}.new`, path)
  for (let i = 0; i < 2; i++) await interval(clock)
  assert.deepEqual([reloads, list.has('12.0.0.1')], [2, true])

  // A broken file is reported once, not at every look.
  writeFileSync(path, 'broken\n')
  for (let i = 0; i < 4; i++) await interval(clock)
  rmSync(path)
  for (let i = 0; i < 4; i++) await interval(clock)
  assert.deepEqual([reloads, errors.length, list.has('12.0.0.1')], [2, 2, true])
  assert.match(errors[0] ?? '', /:1: .*'broken'/)
  assert.match(errors[1] ?? '', /no such file/)
})

test('close stops looking and keeps the list', async (t) => {
  const path = join(folder(t), 'list.txt')
  const clock = new ManualClock()
  writeFileSync(path, '10.0.0.0/8\n')
  const list = cidrFile(path, { clock })
  assert.equal(clock.pending, 1)
  list.close()
  list.close()
  assert.equal(clock.pending, 0)
  assert.ok(list.has('10.0.0.1'))
})

test('a watched file does not keep the process alive', (t) => {
  const path = join(folder(t), 'list.txt')
  writeFileSync(path, '10.0.0.0/8\n')
  const module = import.meta.resolve('#sluice/policy/cidr.js')
  const code = `import { cidrFile } from ${JSON.stringify(module)}
    console.log(cidrFile(${JSON.stringify(path)}).has('10.0.0.1'))`
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    timeout: 30_000,
  })
  assert.deepEqual([child.status, String(child.stdout)], [0, 'true\n'])
})
