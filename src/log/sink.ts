/**
 * Where log lines go: a file or stdout, written by libuv's pool. Whoever logs never
 * waits. Lines that cannot be written wait, within a bound; each one that is given up is
 * counted, once.
 */

import * as fs from 'node:fs'

/** Characters of lines that may wait. */
const MAX_WAITING = 16 * 1024 * 1024
/** Most characters of one write. */
const MAX_WRITE = 256 * 1024
/** Lines are written when there are as many characters, or after the interval in ms. */
const CHUNK = 4096
const FLUSH_INTERVAL = 100
/** ms between two tries: for a reader that is slow, twice as long each time, and for a disk that is full. */
const SLOW_RETRY = 5
const MAX_SLOW_RETRY = 100
const FAILED_RETRY = 1_000
/** ms that `flush` waits for the reader, and the end of the process, with its pauses. */
const FLUSH_DEADLINE = 500
const EXIT_DEADLINE = 500
const EXIT_PAUSE = 10

/** stdout. */
const STDOUT = 1
/** What is not going to be over: nobody will read what is written here. */
const GONE = new Set(['EPIPE', 'ECONNRESET', 'EBADF', 'ENOTCONN'])
/** What is over in a moment. */
const BUSY = new Set(['EAGAIN', 'EWOULDBLOCK', 'EINTR', 'EBUSY'])

/** What is told of the sink's own trouble. */
export interface SinkEvents {
  /** It fails from now on; once, until lines have been written again. */
  failing(error: NodeJS.ErrnoException): void
  /** Lines can be written again. `lost`: dropped since the last call. */
  recovered(lost: number): void
}

/** A part of the log on its way out. */
interface Batch {
  bytes: Buffer
  /** Bytes of it that were written. */
  written: number
}

export class LineSink {
  /** Path; undefined for stdout. */
  readonly file: string | undefined
  readonly #events: SinkEvents
  #fd: number | undefined
  /** Lines that wait behind the batch. */
  #lines: string[] = []
  #waiting = 0
  #batch: Batch | undefined
  /** A system call is under way. */
  #busy = false
  #gone = false
  #failing = false
  #reopening = false
  #closing = false
  #slowRetry = SLOW_RETRY
  #timer: NodeJS.Timeout | undefined
  #dropped = 0
  /** Of `#dropped`: told by `recovered`. */
  #told = 0
  #idle: (() => void)[] = []

  constructor(file: string | undefined, events: SinkEvents) {
    this.file = file
    this.#events = events
    if (file !== undefined) return
    this.#fd = STDOUT
    // Node makes a pipe non-blocking with its stream: a write that waits would hold a thread of
    // the pool, and the end of the process with it.
    void process.stdout
  }

  /** Lines that were given up. */
  get dropped(): number {
    return this.#dropped
  }

  /** Opens the file where it is not open, as the first line does. Throws the system's error. */
  open(): void {
    if (this.#fd === undefined) this.#fd = openFile(this.file as string)
  }

  /**
   * Opens the file's name again, which has been moved away, and goes on there with whole lines.
   * Rejects where that fails; the lines then go where they went before. Nothing for stdout.
   */
  async reopen(): Promise<void> {
    if (this.file === undefined) return
    const fd = openFile(this.file)
    this.#reopening = true
    await this.#settled()
    const old = this.#fd
    this.#fd = fd
    this.#gone = false
    this.#reopening = false
    if (this.#batch !== undefined) rewind(this.#batch)
    if (old !== undefined) fs.close(old, ignore)
    this.#pump()
  }

  /** `line` with its line feed. */
  write(line: string): void {
    if (this.#gone || this.#waiting + line.length > MAX_WAITING) {
      this.#dropped++
      return
    }
    if (this.#lines.length === 0) atExit(this)
    this.#lines.push(line)
    this.#waiting += line.length
    if (this.#busy || this.#failing) return
    if (this.#waiting >= CHUNK) this.#pump()
    else this.#wait(FLUSH_INTERVAL)
  }

  /**
   * Writes what waits, as long as the reader takes it; what it does not take is given up.
   * Then the file is closed; the next line opens it again.
   */
  async close(): Promise<void> {
    this.#closing = true
    const idle = new Promise<void>((resolve) => this.#idle.push(resolve))
    this.#pump()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FLUSH_DEADLINE)
    })
    await Promise.race([idle, late])
    clearTimeout(timer)
    this.#closing = false
    this.#giveUp()
    const fd = this.#fd
    if (this.file === undefined || fd === undefined || this.#busy) return
    this.#fd = undefined
    fs.close(fd, ignore)
  }

  /** Writes what waits without the event loop, within a deadline, and gives up the rest. */
  writeRest(): void {
    const end = performance.now() + EXIT_DEADLINE
    const pause = new Int32Array(new SharedArrayBuffer(4))
    // What the pool is writing is not to be written twice.
    if (this.#busy) this.#batch = undefined
    while (this.#fd !== undefined && !this.#gone && this.#next()) {
      const batch = this.#batch as Batch
      try {
        this.#wrote(batch, fs.writeSync(this.#fd, batch.bytes, batch.written))
      } catch (error) {
        if (!BUSY.has((error as NodeJS.ErrnoException).code ?? '') || performance.now() > end) break
        Atomics.wait(pause, 0, 0, EXIT_PAUSE)
      }
    }
    this.#giveUp()
  }

  #pump(): void {
    if (this.#busy || this.#reopening) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (!this.#next()) {
      this.#rest()
      return
    }
    try {
      this.open()
    } catch (error) {
      this.#failed(error as NodeJS.ErrnoException)
      return
    }
    const batch = this.#batch as Batch
    this.#busy = true
    fs.write(this.#fd as number, batch.bytes, batch.written, (error, written) => {
      if (!error) this.#wrote(batch, written)
      this.#done(error ?? undefined)
    })
  }

  /** A system call has returned. */
  #done(error: NodeJS.ErrnoException | undefined): void {
    this.#busy = false
    if (this.#reopening) {
      this.#rest()
      return
    }
    if (error === undefined) {
      this.#slowRetry = SLOW_RETRY
      if (this.#batch === undefined) this.#working()
      this.#pump()
    } else if (BUSY.has(error.code ?? '')) {
      this.#wait(this.#slowRetry)
      this.#slowRetry = Math.min(2 * this.#slowRetry, MAX_SLOW_RETRY)
    } else {
      this.#failed(error)
    }
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (!this.#failing) {
      this.#failing = true
      this.#events.failing(error)
    }
    this.#gone = GONE.has(error.code ?? '') && this.#fd !== undefined
    if (!this.#gone && !this.#closing) {
      this.#wait(FAILED_RETRY)
      return
    }
    this.#giveUp()
    this.#rest()
  }

  /** A whole batch was written. */
  #working(): void {
    this.#failing = false
    const lost = this.#dropped - this.#told
    // Not before there is room: a line about it would be dropped too.
    if (lost === 0 || this.#waiting > MAX_WAITING / 2) return
    this.#told = this.#dropped
    this.#events.recovered(lost)
  }

  /** False where nothing waits. */
  #next(): boolean {
    if (this.#batch !== undefined) return true
    if (this.#lines.length === 0) return false
    let count = 0
    let size = 0
    for (const { length } of this.#lines) {
      if (count > 0 && size + length > MAX_WRITE) break
      size += length
      count++
    }
    const lines = count === this.#lines.length ? this.#lines : this.#lines.slice(0, count)
    this.#lines = count === this.#lines.length ? [] : this.#lines.slice(count)
    this.#waiting -= size
    this.#batch = { bytes: Buffer.from(lines.join('')), written: 0 }
    return true
  }

  #wrote(batch: Batch, bytes: number): void {
    batch.written += bytes
    if (batch.written === batch.bytes.length && this.#batch === batch) this.#batch = undefined
  }

  /** Counts what waits as dropped. A batch that the pool is writing is not among it. */
  #giveUp(): void {
    this.#dropped += this.#lines.length
    this.#lines = []
    this.#waiting = 0
    if (this.#batch === undefined || this.#busy) return
    this.#dropped += linesIn(this.#batch)
    this.#batch = undefined
  }

  #wait(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#pump()
    }, ms).unref()
  }

  /** Nothing is under way. */
  #rest(): void {
    if (this.#lines.length === 0 && this.#batch === undefined) unwritten.delete(this)
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** Resolves when no system call is under way. */
  #settled(): Promise<void> {
    if (!this.#busy) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }
}

/** Sinks that may hold lines when the process ends. */
const unwritten = new Set<LineSink>()
let watching = false

function atExit(sink: LineSink): void {
  unwritten.add(sink)
  if (watching) return
  watching = true
  process.on('exit', () => {
    for (const one of unwritten) one.writeRest()
  })
}

/** Opens a file to append to it. */
function openFile(file: string): number {
  const { O_APPEND, O_CREAT, O_NONBLOCK, O_RDWR, O_WRONLY } = fs.constants
  const isPipe = fs.statSync(file, { throwIfNoEntry: false })?.isFIFO()
  // To open the writing end alone waits for a reader.
  return fs.openSync(file, isPipe ? O_RDWR | O_NONBLOCK : O_WRONLY | O_APPEND | O_CREAT, 0o666)
}

/** Back to the beginning of the line that was cut. */
function rewind(batch: Batch): void {
  batch.written = batch.written === 0 ? 0 : batch.bytes.lastIndexOf('\n', batch.written - 1) + 1
}

/** Lines that are not written to their end. */
function linesIn({ bytes, written }: Batch): number {
  let lines = 0
  for (let at = bytes.indexOf('\n', written); at >= 0; at = bytes.indexOf('\n', at + 1)) lines++
  return lines
}

function ignore(): void {}
