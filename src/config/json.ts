/**
 * JSON with errors that say where. JSON.parse tells no position for many
 * mistakes (Node 20), and takes the last of two equal keys in silence.
 */

/** A mistake in JSON text. `offset` counts UTF-16 units from 0; line and column count from 1. */
export class JsonSyntaxError extends SyntaxError {
  readonly offset: number
  readonly line: number
  readonly column: number

  constructor(message: string, text: string, offset: number) {
    super(message)
    this.name = 'JsonSyntaxError'
    this.offset = offset
    const before = text.slice(0, offset)
    this.line = before.split('\n').length
    this.column = offset - before.lastIndexOf('\n')
  }
}

/** Parses JSON (RFC 8259), refusing objects with two equal keys. Throws a JsonSyntaxError. */
export function parseJson(text: string): unknown {
  const source = text.startsWith('\uFEFF') ? ` ${text.slice(1)}` : text
  new Scanner(source).document()
  return JSON.parse(source)
}

/** Deepest nesting, so that hostile input cannot exhaust the stack. */
const MAX_DEPTH = 512

/** Walks the text and throws at the first mistake. */
class Scanner {
  #at = 0
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  document(): void {
    this.#value(0)
    this.#space()
    if (this.#at < this.#text.length) this.#fail(`unexpected ${this.#found()} behind the value`)
  }

  #value(depth: number): void {
    this.#space()
    if (depth > MAX_DEPTH) this.#fail(`more than ${MAX_DEPTH} levels`)
    const char = this.#text[this.#at]
    if (char === '{') this.#object(depth)
    else if (char === '[') this.#array(depth)
    else if (char === '"') this.#string()
    else if (
      !this.#match(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y) &&
      !this.#match(/true|false|null/y)
    ) {
      this.#fail(`expected a value, got ${this.#found()}`)
    }
  }

  #object(depth: number): void {
    this.#at++
    const keys = new Set<string>()
    if (this.#ends('}')) return
    for (;;) {
      this.#space()
      const start = this.#at
      if (this.#text[start] !== '"')
        this.#fail(`expected a key in double quotes, got ${this.#found()}`)
      this.#string()
      const key = JSON.parse(this.#text.slice(start, this.#at)) as string
      if (keys.has(key)) {
        this.#at = start
        this.#fail(`the key ${JSON.stringify(key)} is there twice`)
      }
      keys.add(key)
      this.#space()
      if (this.#text[this.#at] !== ':') this.#fail(`expected ':', got ${this.#found()}`)
      this.#at++
      this.#value(depth + 1)
      if (this.#ends('}')) return
      this.#comma('}')
    }
  }

  #array(depth: number): void {
    this.#at++
    if (this.#ends(']')) return
    for (;;) {
      this.#value(depth + 1)
      if (this.#ends(']')) return
      this.#comma(']')
    }
  }

  #comma(end: string): void {
    if (this.#text[this.#at] !== ',') this.#fail(`expected ',' or '${end}', got ${this.#found()}`)
    this.#at++
    const comma = this.#at - 1
    this.#space()
    if (this.#text[this.#at] !== end) return
    this.#at = comma
    this.#fail(`unexpected ',' before '${end}'`)
  }

  #ends(end: string): boolean {
    this.#space()
    if (this.#text[this.#at] !== end) return false
    this.#at++
    return true
  }

  #string(): void {
    const start = this.#at
    // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON strings hold no control characters
    this.#match(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y)
    if (this.#text[this.#at] === '"') {
      this.#at++
      return
    }
    const char = this.#text[this.#at]
    if (char === '\\') this.#fail('unknown escape in a string')
    if (char !== undefined && char !== '\n' && char !== '\r')
      this.#fail('control character in a string')
    this.#at = start
    this.#fail('the string has no end')
  }

  #space(): void {
    this.#match(/[ \t\r\n]*/y)
  }

  #match(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at
    if (!pattern.test(this.#text)) return false
    this.#at = pattern.lastIndex
    return true
  }

  /** What other notations have, and JSON has not. */
  #hint(): string {
    const rest = this.#text.slice(this.#at, this.#at + 2)
    if (rest === '//' || rest === '/*' || rest[0] === '#')
      return ': JSON has no comments; a configuration in .ts or .js may have them'
    if (rest[0] === "'") return ': strings stand in double quotes'
    return ''
  }

  #found(): string {
    const char = this.#text.codePointAt(this.#at)
    return char === undefined ? 'the end of the text' : `'${String.fromCodePoint(char)}'`
  }

  #fail(message: string): never {
    throw new JsonSyntaxError(message + this.#hint(), this.#text, this.#at)
  }
}
