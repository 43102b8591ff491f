import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineTooLong, MAX_LINE, readLines } from '../../examples/line-echo/lines.js'
import { engineKinds } from '../support/engines.js'
import { everyCut, runExample } from './support.js'

async function* chunksOf(bytes: Buffer, cuts: readonly number[]) {
  let from = 0
  for (const cut of [...cuts, bytes.length]) {
    yield bytes.subarray(from, cut)
    from = cut
  }
}

async function linesOf(text: string, cuts: readonly number[] = []): Promise<string[]> {
  const lines: string[] = []
  for await (const line of readLines(chunksOf(Buffer.from(text), cuts))) lines.push(line)
  return lines
}

test('lines are the same however the bytes are split', async () => {
  const text = 'one\r\n\ntwo ü\n\r\nthree\rfour\nrest'
  const lines = ['one', '', 'two ü', '', 'three\rfour', 'rest']
  const bytes = Buffer.from(text)
  assert.deepEqual(await linesOf(text), lines)
  assert.deepEqual(await linesOf(text, everyCut(bytes)), lines)
  for (const cut of everyCut(bytes)) assert.deepEqual(await linesOf(text, [cut]), lines)
})

test('a line may have its greatest length, not one byte more', async () => {
  const longest = 'x'.repeat(MAX_LINE)
  for (const end of ['\n', '\r\n', '']) {
    const text = `a\n${longest}${end}`
    assert.deepEqual(await linesOf(text), ['a', longest])
    for (const cut of [1, 2, 3, MAX_LINE + 1, MAX_LINE + 2]) {
      assert.deepEqual(await linesOf(text, [cut]), ['a', longest])
    }
    await assert.rejects(linesOf(`${longest}x${end}`), LineTooLong)
  }
  await assert.rejects(linesOf(`${longest}${longest}`, [MAX_LINE]), LineTooLong)
})

for (const kind of engineKinds) {
  test(`${kind}: each line comes back, split at any byte`, async (t) => {
    const { connect } = await runExample(t, kind, 'line-echo')
    const text = Buffer.from('hello\r\nzwölf\n\n')
    for (const cuts of [[], ...everyCut(text).map((cut) => [cut]), everyCut(text)]) {
      const client = await connect('lines')
      await client.sendSplit(text, cuts)
      client.fin()
      assert.equal((await client.readToEnd()).toString(), 'hello\nzwölf\n\n')
    }
  })

  test(`${kind}: stats tells totals, quit ends`, async (t) => {
    const { connect, record } = await runExample(t, kind, 'line-echo')
    const first = await connect('lines')
    await first.send('four\n')
    await first.expect('four\n')
    const second = await connect('lines')
    await second.send('sixsix\nstats\nquit\nignored\n')
    assert.equal((await second.readToEnd()).toString(), 'sixsix\nclients 2 lines 2 bytes 10\n')
    second.fin()
    const { code, backend, server } = await record(0)
    assert.deepEqual([code, backend, server], ['done', 'lines', 'lines'])
  })

  test(`${kind}: a line that never ends is answered and closed`, async (t) => {
    const { connect, record } = await runExample(t, kind, 'line-echo')
    const client = await connect('lines')
    await client.send('y'.repeat(5 * MAX_LINE))
    assert.match((await client.readToEnd()).toString(), /^error: a line has at most 1024 bytes\n$/)
    client.fin()
    await record(0)
  })

  test(`${kind}: two megabytes of lines come back whole`, async (t) => {
    const { connect } = await runExample(t, kind, 'line-echo')
    const client = await connect('lines')
    const line = `${'z'.repeat(1000)}\n`
    await client.send(line.repeat(2_000))
    client.fin()
    assert.equal((await client.readToEnd()).length, 2_000 * line.length)
  })
}
