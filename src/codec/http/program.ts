/** Edits as a program, which the engine checks and applies (`HttpEdit`). */

import { HttpEdit } from '../../wire/wire.js'
import type { Edit } from './edits.js'

const WORDS = 3
const WORD = 4
const MOST_TEXT = 0xffff
const NOTHING = ''

/** The text of a program is longer than 65535 bytes. */
export class ProgramTooLong extends Error {
  override readonly name = 'ProgramTooLong'
}

/** The bytes of a program. Precondition: each edit passed `checkEdit`. Throws ProgramTooLong. */
export function encodeProgram(edits: readonly Edit[]): Uint8Array {
  const words: number[] = [edits.length]
  let text = NOTHING
  const span = (part: string) => {
    const start = text.length
    text += part
    if (text.length > MOST_TEXT) throw new ProgramTooLong('the edits have more than 65535 bytes')
    return start | (part.length << 16)
  }
  for (const edit of edits) {
    const { operation, argument = 0, name = NOTHING, value = NOTHING } = parts(edit)
    words.push(operation | (argument << 8), span(name), span(value))
  }
  const bytes = Buffer.alloc((1 + WORDS * edits.length) * WORD + text.length)
  for (const [i, word] of words.entries()) bytes.writeInt32LE(word | 0, i * WORD)
  bytes.write(text, words.length * WORD, 'latin1')
  return bytes
}

interface Parts {
  operation: number
  argument?: number
  name?: string
  value?: string
}

function parts(edit: Edit): Parts {
  switch (edit.kind) {
    case 'remove':
      return { operation: HttpEdit.REMOVE, argument: edit.index }
    case 'replace':
      return { operation: HttpEdit.REPLACE, argument: edit.index, value: edit.value }
    case 'remove-all':
      return { operation: HttpEdit.REMOVE_ALL, name: edit.name }
    case 'add':
      return { operation: HttpEdit.ADD, name: edit.name, value: edit.value }
    case 'method':
      return { operation: HttpEdit.METHOD, value: edit.text }
    case 'path':
      return { operation: HttpEdit.PATH, value: edit.text }
    case 'host':
      return { operation: HttpEdit.HOST, value: edit.text }
    case 'query':
      return edit.text === undefined
        ? { operation: HttpEdit.NO_QUERY }
        : { operation: HttpEdit.QUERY, value: edit.text }
    case 'status':
      return { operation: HttpEdit.STATUS, argument: edit.status }
    case 'reason':
      return { operation: HttpEdit.REASON, value: edit.text }
  }
}
