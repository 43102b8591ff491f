import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLog } from '#sluice/log/logger.js'

test('lines reach the file, in order, by the time the log is closed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-log-'))
  const file = join(folder, 'deep', 'sluice.log')
  const log = createLog({ level: 'info', file })
  for (let i = 0; i < 1000; i++) log.logger.info({ i }, 'line')
  log.logger.debug('below the level')
  await log.close()
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).i),
    Array.from({ length: 1000 }, (_, i) => i),
  )
  assert.equal(log.dropped(), 0)
  rmSync(folder, { recursive: true })
})

test('a reader that does not read costs lines, not time or memory', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-log-'))
  const fifo = join(folder, 'fifo')
  execFileSync('mkfifo', [fifo])
  const log = createLog({ level: 'info', file: fifo })
  const text = 'x'.repeat(100_000)
  // 30 MB to a pipe that nobody has opened for reading; 16 MB may wait.
  for (let i = 0; i < 300; i++) log.logger.info(text)
  assert.ok(log.dropped() > 100 && log.dropped() < 200, `${log.dropped()} dropped`)
  const reader = createReadStream(fifo)
  let read = 0
  reader.on('data', (chunk) => {
    read += chunk.length
  })
  await once(reader, 'data')
  while (read < (300 - log.dropped()) * text.length) await once(reader, 'data')
  reader.destroy()
  // The read that is under way must return before the reader closes.
  log.logger.info('last')
  await Promise.all([once(reader, 'close'), log.close()])
  rmSync(folder, { recursive: true })
})

const tick = () => sleep(5)

/** Folder, and what the log says of its own trouble. */
function place(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-log-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const said: string[] = []
  return { folder, said, onTrouble: (text: string) => void said.push(text) }
}

function lines(file: string): { i?: number; msg: string; lost?: number }[] {
  const text = readFileSync(file, 'utf8')
  assert.ok(text === '' || text.endsWith('\n'), 'the last line is whole')
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]))
}

test('a full disk: said once, every line that is lost is counted, and nothing else', async (t) => {
  const { said, onTrouble } = place(t)
  const log = createLog({ level: 'info', file: '/dev/full', onTrouble })
  for (let i = 0; i < 500; i++) log.logger.info({ i }, 'line')
  while (said.length === 0) await tick()
  assert.equal(log.dropped(), 0, 'they wait')
  for (let i = 0; i < 500; i++) log.logger.info({ i }, 'line')
  await log.close()
  assert.equal(log.dropped(), 1000)
  assert.equal(said.length, 2)
  assert.match(said[0] ?? '', /the log \(\/dev\/full\) cannot be written: ENOSPC/)
  assert.match(said[1] ?? '', /has lost 1000 lines/)
})

test('a disk that is full for a while costs nothing', async (t) => {
  const { folder, said, onTrouble } = place(t)
  const file = join(folder, 'log')
  symlinkSync('/dev/full', file)
  const log = createLog({ level: 'info', file, onTrouble })
  for (let i = 0; i < 1000; i++) log.logger.info({ i }, 'line')
  while (said.length === 0) await tick()
  rmSync(file)
  await log.reopen()
  await log.close()
  assert.deepEqual(
    lines(file).map(({ i }) => i),
    Array.from({ length: 1000 }, (_, i) => i),
  )
  assert.equal(log.dropped(), 0)
  assert.equal(said.length, 1)
})

test('too many lines for the room: those beyond are counted, and the log says so afterwards', async (t) => {
  const { folder, said, onTrouble } = place(t)
  const file = join(folder, 'log')
  symlinkSync('/dev/full', file)
  const log = createLog({ level: 'info', file, onTrouble })
  const text = 'x'.repeat(1_000_000)
  for (let i = 0; i < 30; i++) log.logger.info({ i }, text)
  const lost = log.dropped()
  assert.ok(lost >= 13 && lost <= 15, `${lost} lost`)
  while (said.length === 0) await tick()
  rmSync(file)
  await log.reopen()
  const written = () => (existsSync(file) ? lines(file) : [])
  // Until then the last line may not be whole.
  while (!readFileSync(file, 'latin1').endsWith('were lost"}\n')) await tick()
  assert.equal(written().filter(({ i }) => i !== undefined).length, 30 - lost)
  assert.deepEqual(
    written().flatMap(({ lost }) => lost ?? []),
    [lost],
  )
  await log.close()
  assert.equal(log.dropped(), lost)
  assert.equal(said.length, 1)
})

test('rotation: whole lines on both sides, none lost, none twice', async (t) => {
  const { folder } = place(t)
  const file = join(folder, 'log')
  const log = createLog({ level: 'info', file })
  log.open()
  let i = 0
  for (let turn = 0; turn < 5; turn++) {
    for (let n = 0; n < 400; n++) log.logger.info({ i: i++ }, 'line')
    renameSync(file, `${file}.${turn}`)
    // Also while it is at it.
    const reopened = log.reopen()
    for (let n = 0; n < 400; n++) log.logger.info({ i: i++ }, 'line')
    await reopened
  }
  await log.close()
  const names = [0, 1, 2, 3, 4].map((turn) => `${file}.${turn}`)
  const seen = [...names, file].flatMap(lines).map((line) => line.i)
  assert.deepEqual(
    seen,
    Array.from({ length: i }, (_, n) => n),
  )
})

test('a file that cannot be opened: an error at once, and at rotation the old one stays', async (t) => {
  const { folder } = place(t)
  assert.throws(() => createLog({ level: 'info', file: folder }), /it is a folder/)
  assert.throws(() => createLog({ level: 'info', file: '/dev/null/log' }), /no?t? a folder/)
  const file = join(folder, 'log')
  const log = createLog({ level: 'info', file })
  log.open()
  log.logger.info('before')
  renameSync(file, `${file}.1`)
  mkdirSync(file)
  await assert.rejects(log.reopen(), /it is a folder/)
  log.logger.info('after')
  await log.close()
  assert.deepEqual(
    lines(`${file}.1`).map(({ msg }) => msg),
    ['before', 'after'],
  )
})

test('a closed log opens its file again', async (t) => {
  const { folder } = place(t)
  const file = join(folder, 'log')
  const log = createLog({ level: 'info', file })
  for (const msg of ['one', 'two', 'three']) {
    log.logger.info(msg)
    await log.close()
  }
  assert.deepEqual(
    lines(file).map(({ msg }) => msg),
    ['one', 'two', 'three'],
  )
})

test("'pretty' in a file: dates, no colours", async (t) => {
  const { folder } = place(t)
  const file = join(folder, 'log')
  const log = createLog({ level: 'info', file, format: 'pretty' })
  log.logger.warn({ a: 'b\n' }, 'hm\x1b')
  await log.close()
  assert.match(readFileSync(file, 'utf8'), /^\d{4}-\d\d-\d\dT[\d:.]+Z WARN hm\\x1b a="b\\n"\n$/)
})
