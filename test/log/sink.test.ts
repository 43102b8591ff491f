import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLog } from '#sluice/log/logger.js'

test('lines reach the file, in order, by the time the log is closed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-log-'))
  const file = join(folder, 'deep', 'sluice.log')
  const log = createLog('info', file)
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
  const log = createLog('info', fifo)
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
