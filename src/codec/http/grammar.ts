/** The grammar of single bytes (RFC 9110 5.6, RFC 3986), as crates/http has it. */

const TOKEN = 1
const VALUE = 2
const TARGET = 4
const HOST = 8

export const CR = 0x0d
export const LF = 0x0a
export const SPACE = 0x20
export const TAB = 0x09
export const COLON = 0x3a
export const COMMA = 0x2c

const classes = new Uint8Array(256)
for (let byte = 0; byte < 256; byte++) {
  const char = String.fromCharCode(byte)
  let bits = 0
  if (/[A-Za-z0-9!#$%&'*+.^_`|~-]/.test(char)) bits |= TOKEN
  if (byte === TAB || (byte >= SPACE && byte !== 0x7f)) bits |= VALUE
  // Visible bytes without the fragment's mark, which no request has.
  if (byte > SPACE && byte < 0x7f && char !== '#') bits |= TARGET
  // reg-name (RFC 3986 3.2.2).
  if (/[A-Za-z0-9._~%!$&'()*+,;=-]/.test(char)) bits |= HOST
  classes[byte] = bits
}

function notIn(bits: number, bytes: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    if (((classes[bytes[i] as number] as number) & bits) === 0) return i
  }
  return -1
}

export function isTokenByte(byte: number): boolean {
  return ((classes[byte] as number) & TOKEN) !== 0
}

export function isToken(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
  return end > start && notIn(TOKEN, bytes, start, end) < 0
}

/** Offset of the first byte that no field value has, a control other than HTAB; -1 where all may be. */
export function notValue(bytes: Uint8Array, start = 0, end = bytes.length): number {
  return notIn(VALUE, bytes, start, end)
}

/** The same of a target. */
export function notTarget(bytes: Uint8Array, start = 0, end = bytes.length): number {
  return notIn(TARGET, bytes, start, end)
}

export function isHost(bytes: Uint8Array, start: number, end: number): boolean {
  return notIn(HOST, bytes, start, end) < 0
}

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

/** Value of a hexadecimal digit; -1 for anything else. */
export function hexDigit(byte: number): number {
  if (isDigit(byte)) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB
}

/** Start of what is neither blank nor in front of it. */
export function skipBlanks(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && isBlank(bytes[at])) at++
  return at
}

/** The end without blanks before it. */
export function dropBlanks(bytes: Uint8Array, start: number, end: number): number {
  let at = end
  while (at > start && isBlank(bytes[at - 1])) at--
  return at
}

/** The elements of a comma-separated list in lower case, without blanks and empty ones (RFC 9110 5.6.1). */
export function elements(value: string): string[] {
  return spelt(value).map((element) => element.toLowerCase())
}

/** The same, as they were sent. */
export function spelt(value: string): string[] {
  return value
    .split(',')
    .map(trim)
    .filter((element) => element !== '')
}

/** Without spaces and tabs at its ends; other white space is none here. */
export function trim(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '')
}

/** Digits alone, at most 19 of them, as crates/http takes them; undefined otherwise. */
export function decimal(text: string): bigint | undefined {
  return /^[0-9]{1,19}$/.test(text) ? BigInt(text) : undefined
}

/** Bytes as text, one character a byte. */
export function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
}
