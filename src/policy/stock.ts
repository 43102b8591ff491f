/** Applets that ship: echo, discard, static reply, chargen. */

import { type Applet, defineApplet } from './applet.js'

/** Sends back what it receives (RFC 862). */
export function echo(): Applet {
  return defineApplet('echo', async (stream) => {
    for await (const chunk of stream) await stream.write(chunk)
  })
}

/** Reads and drops everything (RFC 863). */
export function discard(): Applet {
  return defineApplet('discard', async (stream) => {
    for await (const _ of stream) {
      // Reading is all.
    }
  })
}

/** Sends `content` at once and closes. */
export function staticReply(content: Uint8Array | string): Applet {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content.slice()
  return defineApplet('reply', (stream) => stream.write(bytes))
}

/** Sends lines of 72 printable characters until the client goes (RFC 864). */
export function chargen(): Applet {
  const lines = chargenLines()
  return defineApplet('chargen', async (stream) => {
    const { signal } = stream
    while (!signal.aborted) await stream.write(lines)
  })
}

/** One turn of the pattern: 95 lines, each beginning one character further. */
function chargenLines(): Uint8Array {
  const first = 32
  const count = 95
  const lines: string[] = []
  for (let i = 0; i < count; i++) {
    let line = ''
    for (let j = 0; j < 72; j++) line += String.fromCharCode(first + ((i + j) % count))
    lines.push(`${line}\r\n`)
  }
  return new TextEncoder().encode(lines.join(''))
}
