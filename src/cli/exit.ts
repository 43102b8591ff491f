/** How the program ends, and how it tells what went wrong. */

import { constants } from 'node:os'
import { SluiceError } from '../base/errors.js'
import { escapeText } from '../log/escape.js'

/** Documented in `sluice --help`. */
export const ExitCode = {
  OK: 0,
  /** The configuration or a certificate is wrong or cannot be loaded; a file is in the way. */
  CONFIG: 1,
  /** The command line is wrong. */
  USAGE: 2,
  /** The proxy could not start: an address in use, no engine, a plugin. */
  START: 3,
  /** The engine failed, or an exception in code outside of any policy. */
  FATAL: 70,
} as const

/** 128 and the number of the signal, as shells count. */
export function signalExitCode(signal: 'SIGHUP' | 'SIGINT' | 'SIGTERM'): number {
  return 128 + constants.signals[signal]
}

/** Exit code for an error that ended a command. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof SluiceError)) return ExitCode.FATAL
  switch (error.code) {
    case 'ERR_SLUICE_CONFIG':
    case 'ERR_SLUICE_CONFIG_LOAD':
    case 'ERR_SLUICE_TLS':
      return ExitCode.CONFIG
    case 'ERR_SLUICE_LISTEN':
    case 'ERR_SLUICE_ENGINE':
    case 'ERR_SLUICE_ABI_MISMATCH':
    case 'ERR_SLUICE_PLUGIN':
    case 'ERR_SLUICE_STARTED':
      return ExitCode.START
    default:
      return ExitCode.FATAL
  }
}

/** The error for people: our own errors are messages, everything else keeps its name; stacks only with DEBUG. */
export function describeError(error: unknown, debug = Boolean(process.env.DEBUG)): string {
  if (!(error instanceof Error)) return String(error)
  if (debug) return withCauses(error)
  if (error instanceof SluiceError) return error.message
  // It may have anybody's text in it: one line.
  return escapeText(`${error.name}: ${error.message}`)
}

function withCauses(error: Error): string {
  const own = error.stack ?? `${error.name}: ${error.message}`
  return error.cause instanceof Error ? `${own}\ncaused by ${withCauses(error.cause)}` : own
}
