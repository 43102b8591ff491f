/** A terminal with one line at the bottom that is written anew; everything else scrolls above it. */

import { escapeLines, escapeText } from '../log/escape.js'

/** The part of a stream that is used. */
export interface Output {
  isTTY?: boolean
  columns?: number
  write(text: string): unknown
}

const ERASE_LINE = '\r\x1b[2K'

export class Terminal {
  readonly #output: Output
  readonly #log: Output
  #live = ''

  /** `output`: where people read. `log`: where log lines go; the same terminal, where both are one. */
  constructor(output: Output, log: Output) {
    this.#output = output
    this.#log = log
  }

  /** A line for people, or several. */
  line(text: string): void {
    this.#above(this.#output, escapeLines(text))
  }

  /** A line of the log, escaped already: it may have colours. */
  logLine(text: string): void {
    this.#above(this.#log, text)
  }

  /** Replaces the live line; '' takes it away. Without a terminal, it is a line like others. */
  live(text: string): void {
    if (!this.#output.isTTY) {
      if (text !== '') this.#output.write(`${text}\n`)
      return
    }
    if (text === this.#live) return
    // One row only: a wrapped line could not be erased.
    this.#live = escapeText(text).slice(0, Math.max(0, (this.#output.columns || 80) - 1))
    this.#output.write(`${ERASE_LINE}${this.#live}`)
  }

  #above(stream: Output, text: string): void {
    if (this.#live !== '') this.#output.write(ERASE_LINE)
    stream.write(`${text}\n`)
    if (this.#live !== '') this.#output.write(this.#live)
  }
}
