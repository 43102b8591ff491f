/**
 * Text of others in a log: a client must not forge lines, move the cursor of the
 * terminal that shows them, or turn around the order in which they are read.
 */

/** Invisible, and not what it seems: controls (C0, DEL, C1), marks that change the direction of text, separators of lines, halves of pairs. */
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\0-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** One line of text: '\n' for a line feed, '\x1b' for an escape, '\u202e' for what is above 255. */
export function escapeText(text: string): string {
  return text.replace(UNSAFE, (char) => {
    const code = char.charCodeAt(0)
    return SHORT[char] ?? (code < 256 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`)
  })
}

/** The same with its line feeds: for messages of ours that have several lines. */
export function escapeLines(text: string): string {
  return text.split('\n').map(escapeText).join('\n')
}

/** The same without C0 and halves of pairs, which JSON has escaped already. */
const UNSAFE_IN_JSON =
  /[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g

/**
 * A line of JSON. It escapes C0 only, and a terminal that shows the file takes U+009B for
 * the beginning of an escape sequence. Such characters stand only in strings, so that the
 * JSON means what it meant.
 */
export function escapeJsonLine(line: string): string {
  return line.replace(UNSAFE_IN_JSON, (char) => `\\u${hex(char.charCodeAt(0), 4)}`)
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0')
}
