/**
 * Durations and sizes with units. Strict: exactly a decimal number and a unit,
 * so that '30' can never mean 30 s to one reader and 30 ms to another.
 */

import { SluiceError } from './errors.js'

/** A duration with its unit: '250ms', '30s', '5m', '1h', '1d'. */
export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/** A size in bytes with its unit: '512B', '64kB' (1024 bytes), '1MB'. */
export type Size = `${number}${'B' | 'kB' | 'MB' | 'GB'}`

/** Longest duration: the engine's timers and Node's hold 31 bits of milliseconds, about 24.8 days. */
export const MAX_DURATION = 2 ** 31 - 1

const durationUnits = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const sizeUnits = { B: 1, kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 } as const

/** What people write instead of our units, in lower case. */
const durationAliases: Record<string, keyof typeof durationUnits> = {
  msec: 'ms', millis: 'ms', millisecond: 'ms', milliseconds: 'ms',
  sec: 's', secs: 's', second: 's', seconds: 's',
  min: 'm', mins: 'm', minute: 'm', minutes: 'm',
  hr: 'h', hrs: 'h', hour: 'h', hours: 'h',
  day: 'd', days: 'd',
} // biome-ignore format: one line for each unit
const sizeAliases: Record<string, keyof typeof sizeUnits> = {
  b: 'B', byte: 'B', bytes: 'B',
  k: 'kB', kb: 'kB', kib: 'kB',
  m: 'MB', mb: 'MB', mib: 'MB',
  g: 'GB', gb: 'GB', gib: 'GB',
} // biome-ignore format: one line for each unit

/** A result instead of an exception, so that checking can collect every error. */
export type Parsed<T> = { value: T } | { message: string; suggestion?: string }

const DURATION = "a duration such as '250ms', '30s', '5m', '1h' or '1d'"
const SIZE = "a size such as '512B', '64kB' or '1MB'"

/** Reads a duration; the value is in whole milliseconds, 0 to `MAX_DURATION`. */
export function readDuration(input: unknown): Parsed<number> {
  const parsed = read(input, DURATION, durationUnits, durationAliases, 'millisecond')
  if ('value' in parsed && parsed.value > MAX_DURATION) {
    return {
      message: `expected at most '${formatDuration(MAX_DURATION)}' (about 24.8 days), got ${show(input)}.`,
    }
  }
  return parsed
}

/** Reads a size; the value is in whole bytes. 1 kB is 1024 bytes. */
export function readSize(input: unknown): Parsed<number> {
  const parsed = read(input, SIZE, sizeUnits, sizeAliases, 'byte')
  if ('value' in parsed && !Number.isSafeInteger(parsed.value)) {
    return { message: `expected at most ${Number.MAX_SAFE_INTEGER} bytes, got ${show(input)}.` }
  }
  return parsed
}

/** The duration that was read last: policies read the same one again and again. */
let lastRead: { text: string; ms: number } = { text: '', ms: 0 }

/**
 * Milliseconds of a duration. Throws a SluiceError (ERR_SLUICE_ARGUMENT) that says what was expected,
 * and for what: `name`.
 */
export function parseDuration(input: Duration | string, name?: string): number {
  if (input !== lastRead.text) lastRead = { text: input, ms: unwrap(readDuration(input), name) }
  return lastRead.ms
}

/** Bytes of a size. Throws a SluiceError (ERR_SLUICE_ARGUMENT) that says what was expected. */
export function parseSize(input: Size | string): number {
  return unwrap(readSize(input))
}

/** The shortest exact text of `ms` whole milliseconds, in the largest unit that divides it. */
export function formatDuration(ms: number): Duration {
  return format(ms, durationUnits, 'ms') as Duration
}

/** The shortest exact text of `bytes`, in the largest unit that divides it. */
export function formatSize(bytes: number): Size {
  return format(bytes, sizeUnits, 'B') as Size
}

function read(
  input: unknown,
  expected: string,
  units: Record<string, number>,
  aliases: Record<string, string>,
  smallest: string,
): Parsed<number> {
  const wrong = (why = ''): { message: string } => ({
    message: `expected ${expected}, got ${show(input)}${why}.`,
  })
  if (typeof input === 'number') return wrong(' without a unit')
  if (typeof input !== 'string') return wrong()
  const match = /^(\d+(?:\.\d+)?)([a-zA-Z]+)$/.exec(input)
  const unit =
    match && Object.hasOwn(units, match[2] as string) ? units[match[2] as string] : undefined
  if (match && unit !== undefined) {
    const value = scale(match[1] as string, unit)
    if (value !== undefined) return { value }
    return { message: `expected a whole number of ${smallest}s, got ${show(input)}.` }
  }
  if (/^\s*\d+(\.\d+)?\s*$/.test(input)) return wrong(' without a unit')
  const loose = /^\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*$/.exec(input)
  const word = loose?.[2]?.toLowerCase() ?? ''
  const near = Object.keys(units).find((name) => name.toLowerCase() === word) ?? aliases[word]
  return loose && near ? { ...wrong(), suggestion: `${loose[1]}${near}` } : wrong()
}

/** `text` times `unit` where that is whole, computed on digits so that '0.1s' is exactly 100 ms. */
function scale(text: string, unit: number): number | undefined {
  const [whole = '0', fraction = ''] = text.split('.')
  const digits = BigInt(whole + fraction) * BigInt(unit)
  const divisor = 10n ** BigInt(fraction.length)
  return digits % divisor === 0n ? Number(digits / divisor) : undefined
}

function format(value: number, units: Record<string, number>, smallest: string): string {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new SluiceError('ERR_SLUICE_ARGUMENT', `expected a whole number from 0 on, got ${value}.`)
  }
  const fitting = Object.entries(units).findLast(([, unit]) => value !== 0 && value % unit === 0)
  return fitting ? `${value / fitting[1]}${fitting[0]}` : `${value}${smallest}`
}

function unwrap(parsed: Parsed<number>, name?: string): number {
  if ('value' in parsed) return parsed.value
  const place = name === undefined ? '' : `${name}: `
  const hint = parsed.suggestion ? ` Did you mean '${parsed.suggestion}'?` : ''
  throw new SluiceError('ERR_SLUICE_ARGUMENT', place + parsed.message + hint)
}

/** A value as an error message shows it. */
export function show(value: unknown): string {
  if (typeof value === 'string')
    return `'${value.length > 80 ? `${value.slice(0, 77)}...` : value}'`
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'function') return 'a function'
  return typeof value === 'object' ? 'an object' : String(value)
}
