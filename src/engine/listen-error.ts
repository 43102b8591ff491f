/** Why a listener could not be opened, in the same words on every engine. */

import { getSystemErrorMap } from 'node:util'
import type { ListenAddress } from '../address/bind.js'
import { formatListenAddress } from '../address/text.js'
import { SluiceError } from '../base/errors.js'

/** What the system's words leave open. */
const explanations: Record<string, string> = {
  EADDRINUSE: 'the address is in use',
  EADDRNOTAVAIL: 'the address is not one of this machine',
  EACCES: 'permission denied',
  ENOENT: 'the folder does not exist',
  EBADF: 'the descriptor is not open',
  ENOTSOCK: 'the descriptor is no socket',
}

/** Steps that every listener has; which one failed depends on the engine, and says nothing. */
const COMMON_STEPS: readonly unknown[] = ['socket', 'bind', 'listen', 'path', 'dup', undefined]

/** @param cause as Node makes them: with `code`, `errno` (negative) and `syscall`. */
export function listenError(address: ListenAddress, cause: NodeJS.ErrnoException): SluiceError {
  const { code = 'unknown error', syscall } = cause
  const name = COMMON_STEPS.includes(syscall) ? code : `${code} in ${syscall}`
  return listenRefused(address, `${explain(address, cause)} (${name})`, cause)
}

/** The same where it is not the system that refuses. */
export function listenRefused(address: ListenAddress, why: string, cause?: unknown): SluiceError {
  const message = `cannot listen on ${formatListenAddress(address)}: ${why}.`
  return new SluiceError('ERR_SLUICE_LISTEN', message, cause === undefined ? undefined : { cause })
}

function explain(address: ListenAddress, { code, errno, message }: NodeJS.ErrnoException): string {
  // The interface has become the number 0, which link-local addresses must not have.
  if (code === 'EINVAL' && address.kind === 'tcp' && address.host.includes('%'))
    return 'there is no such interface'
  if (code === 'EINVAL' && address.kind === 'fd') return 'the descriptor is not open, or no socket'
  return explanations[code ?? ''] ?? getSystemErrorMap().get(errno ?? 0)?.[1] ?? message
}

/** The same error, with the place in the configuration where the listener is. */
export function atBind(path: string, error: unknown): unknown {
  if (!(error instanceof SluiceError && error.code === 'ERR_SLUICE_LISTEN')) return error
  const { cause } = error
  const message = `${path}: ${error.message}`
  return new SluiceError(error.code, message, cause === undefined ? undefined : { cause })
}
