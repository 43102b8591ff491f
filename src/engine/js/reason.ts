/** Close reasons: how errors of Node become By, Phase and Code. */

import { reasonCode } from '../../wire/reason.js'
import { By, Code } from '../../wire/wire.js'
import { tlsFailure } from './tls/reason.js'

/** What a failed operation means for its connection. */
export interface Failure {
  by: number
  code: number
  /** Positive errno, or 0. */
  errno: number
}

/** The positive errno of a system error, or 0. */
export function errnoOf(error: NodeJS.ErrnoException | undefined): number {
  return error?.errno === undefined ? 0 : Math.abs(error.errno)
}

/** Why connect() failed. Local shortages are the proxy's fault, the rest the server's. */
export function connectFailure(error: NodeJS.ErrnoException): Failure {
  const errno = errnoOf(error)
  const { code, syscall } = error
  const failure = (by: number, closeCode: number): Failure => ({ by, code: closeCode, errno })
  switch (code) {
    case 'ECONNREFUSED':
    // A unix socket whose server is not there.
    case 'ENOENT':
      return failure(By.SERVER, Code.REFUSED)
    case 'ECONNRESET':
    case 'EPIPE':
      return failure(By.SERVER, Code.RESET)
    case 'ECONNABORTED':
      return failure(By.SERVER, Code.ABORTED)
    case 'ETIMEDOUT':
      return failure(By.TIMEOUT, Code.CONNECT_TIMEOUT)
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EHOSTDOWN':
    case 'ENETDOWN':
      return failure(By.SERVER, Code.UNREACHABLE)
    case 'ENOTSOCK':
    case 'EACCES':
    case 'EPERM':
    case 'EINVAL':
    case 'EPROTOTYPE':
    case 'EAFNOSUPPORT':
    case 'EADDRINUSE':
    case 'ENAMETOOLONG':
      return failure(By.PROXY, Code.BAD_ADDRESS)
    case 'EADDRNOTAVAIL':
      return failure(By.PROXY, syscall === 'bind' ? Code.BAD_ADDRESS : Code.PORTS_EXHAUSTED)
    case 'EMFILE':
    case 'ENFILE':
      return failure(By.PROXY, Code.FD_EXHAUSTED)
    case 'ENOMEM':
    case 'ENOBUFS':
      return failure(By.PROXY, Code.NO_MEMORY)
    default:
      // Node refuses arguments with codes of its own, without an errno.
      return errno === 0 ? failure(By.PROXY, Code.BAD_ADDRESS) : failure(By.SERVER, Code.IO_ERROR)
  }
}

/** Why a connection failed behind its connect(). `peer`: By of who is at the other end. */
export function streamFailure(error: NodeJS.ErrnoException, peer: number): Failure {
  const tls = tlsFailure(error)
  if (tls) return { by: tls.byPeer ? peer : By.PROXY, code: tls.code, errno: tls.alert }
  return { by: peer, code: streamCode(error.code), errno: errnoOf(error) }
}

function streamCode(code: string | undefined): number {
  switch (code) {
    case 'ECONNRESET':
    case 'EPIPE':
      return Code.RESET
    case 'ECONNABORTED':
      return Code.ABORTED
    // The peer does not answer: keep-alive or retransmissions have run out.
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EHOSTDOWN':
    case 'ENETDOWN':
      return Code.UNREACHABLE
    case 'ENOMEM':
    case 'ENOBUFS':
      return Code.NO_MEMORY
    default:
      return Code.IO_ERROR
  }
}

/** True for the time-outs that a client's silence causes. */
export function isClientSilence(reason: number): boolean {
  const code = reasonCode(reason)
  return (
    code === Code.CLIENT_TIMEOUT || code === Code.CLIENT_FIN_TIMEOUT || code === Code.TUNNEL_TIMEOUT
  )
}
