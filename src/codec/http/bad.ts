/** What is wrong with a message. */

import { HttpBadLabels } from '../../wire/wire.js'

/** A message that is not taken. Thrown by the readers: what comes behind it is nobody's. */
export class Bad extends Error {
  override readonly name = 'Bad'
  /** HttpBad. */
  readonly code: number
  /** Offset of the byte that is wrong, or of the line that it is in. */
  readonly at: number

  constructor(code: number, at: number) {
    super(`${HttpBadLabels[code]} at byte ${at}`)
    this.code = code
    this.at = at
  }
}

const SPECIAL: Readonly<Record<string, number>> = {
  version: 505,
  'target-long': 414,
  'field-name': 431,
  'head-long': 431,
  fields: 431,
  coding: 501,
  expect: 417,
}

/** The status that answers a request which is refused, by HttpBad; a response that is, is a 502. */
export const badStatus: readonly number[] = HttpBadLabels.map((label) => SPECIAL[label] ?? 400)
