/** An applet that speaks lines: it answers each, and counts. */
import { type Applet, type AppletStream, defineApplet } from 'sluice/policy'

/** Longest line in bytes, without its end. */
export const MAX_LINE = 1024

const NEWLINE = 0x0a
const CARRIAGE_RETURN = 0x0d

/** Thrown where a client sends a longer line. */
export class LineTooLong extends Error {}

/**
 * Lines of a stream as they are completed, without '\n' or '\r\n'. What is left at
 * the client's FIN is a line too. Reading no further is back-pressure: at most
 * one chunk and one line are held.
 */
export async function* readLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest = new Uint8Array(0)
  for await (const chunk of stream) {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      yield decodeLine(rest, chunk.subarray(start, end))
      rest = rest.subarray(0, 0)
      start = end + 1
    }
    rest = concat(rest, chunk.subarray(start))
    // One byte more: it may be the '\r' of the line's end.
    if (rest.length > MAX_LINE + 1) throw new LineTooLong()
  }
  if (rest.length > 0) yield decodeLine(rest, new Uint8Array(0))
}

function decodeLine(head: Uint8Array, tail: Uint8Array): string {
  const line = concat(head, tail)
  const end = line.at(-1) === CARRIAGE_RETURN ? line.length - 1 : line.length
  if (end > MAX_LINE) throw new LineTooLong()
  return new TextDecoder().decode(line.subarray(0, end))
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}

/** Totals over every connection of one applet. */
export interface LineStats {
  clients: number
  lines: number
  bytes: number
}

/**
 * Sends each line back. 'stats' answers with a line of totals, 'quit' ends the
 * connection. One applet serves every connection: what is kept between them is
 * in the closure.
 */
export function lineEcho(stats: LineStats = { clients: 0, lines: 0, bytes: 0 }): Applet {
  return defineApplet('line-echo', async (stream, conn) => {
    stats.clients++
    try {
      await converse(stream, stats)
    } catch (error) {
      if (!(error instanceof LineTooLong)) throw error
      conn.log.info('a line is too long')
      await stream.write(`error: a line has at most ${MAX_LINE} bytes\n`)
    }
  })
}

async function converse(stream: AppletStream, stats: LineStats): Promise<void> {
  for await (const line of readLines(stream)) {
    if (line === 'quit') return
    if (line === 'stats') {
      await stream.write(`clients ${stats.clients} lines ${stats.lines} bytes ${stats.bytes}\n`)
      continue
    }
    stats.lines++
    stats.bytes += line.length
    await stream.write(`${line}\n`)
  }
}
