/**
 * The logger: pino on an asynchronous destination. Policy never waits for the
 * disk or a slow terminal; what a reader does not take within the bound is
 * dropped and counted.
 */

import { writeSync } from 'node:fs'
import pino, { type Logger } from 'pino'
import { makeLogFile } from './file.js'

/** Bytes of log lines that may wait for a slow reader. */
const MAX_WAITING = 16 * 1024 * 1024
/** Lines are written in chunks of this size, or after the interval. */
const CHUNK = 4096
const FLUSH_INTERVAL = 100
/** ms that `close` waits for the reader. */
const CLOSE_DEADLINE = 500
/** ms that the end of the process waits for the reader, and the pauses in between. */
const EXIT_DEADLINE = 500
const EXIT_PAUSE = 10

export interface ProxyLog {
  readonly logger: Logger
  /** Lines that were dropped because nobody read them. */
  dropped(): number
  /** Writes what waits. The logger still works afterwards. */
  close(): Promise<void>
}

/** `file`: path; stdout where undefined. Throws a ConfigError where the file cannot be written. */
export function createLog(level: string, file: string | undefined): ProxyLog {
  // The destination opens it later, and would tell nobody.
  if (file !== undefined) makeLogFile(file)
  const destination = pino.destination({
    dest: file ?? 1,
    sync: false,
    minLength: CHUNK,
    maxLength: MAX_WAITING,
    periodicFlush: FLUSH_INTERVAL,
  })
  let dropped = 0
  destination.on('drop', () => {
    dropped++
  })
  // A closed pipe behind stdout must not end the proxy.
  destination.on('error', () => {
    dropped++
  })
  // pino calls this when the process ends.
  destination.flushSync = () => {
    dropped += writeRest(destination as unknown as Waiting)
  }
  return {
    logger: pino({ level, base: { name: 'sluice' } }, destination),
    dropped: () => dropped,
    close() {
      return new Promise((resolve) => {
        // A reader that does not read must not hold the end back.
        const timer = setTimeout(resolve, CLOSE_DEADLINE)
        destination.flush(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    },
  }
}

/** Lines that wait in sonic-boom 4, which pino writes through. */
interface Waiting {
  /** Below 0: not open yet. */
  readonly fd: number
  /** A write of `_writingBuf` is under way. */
  readonly _writing: boolean
  _writingBuf: string
  _bufs: string[]
}

/**
 * Writes what waits without the event loop. sonic-boom's own flushSync tries
 * again for ever, and keeps the process, where the reader is gone or does not
 * read. Returns how many chunks were given up.
 */
function writeRest(waiting: Waiting): number {
  const rest = waiting._bufs.map((text) => Buffer.from(text))
  waiting._bufs = []
  if (!waiting._writing && waiting._writingBuf.length > 0) {
    rest.unshift(Buffer.from(waiting._writingBuf))
    waiting._writingBuf = ''
  }
  if (waiting.fd < 0) return rest.length
  const pause = new Int32Array(new SharedArrayBuffer(4))
  const end = performance.now() + EXIT_DEADLINE
  for (let chunk = rest[0]; chunk; chunk = rest[0]) {
    try {
      const left = chunk.subarray(writeSync(waiting.fd, chunk))
      if (left.length > 0) rest[0] = left
      else rest.shift()
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'EAGAIN' || performance.now() > end) return rest.length
      Atomics.wait(pause, 0, 0, EXIT_PAUSE)
    }
  }
  return 0
}
