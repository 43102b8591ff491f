/**
 * The end of the process and of signals, with one listener for everybody who waits for it: a
 * program may run any number of proxies, and Node warns of more than ten listeners.
 */

type Callback = () => void

const atExit = new Set<Callback>()
const waiting = new WeakMap<AbortSignal, Set<Callback>>()

/** Calls `fn` when the process exits. Returns what takes that back. */
export function onExit(fn: Callback): Callback {
  if (atExit.size === 0) process.on('exit', exits)
  atExit.add(fn)
  return () => {
    if (atExit.delete(fn) && atExit.size === 0) process.removeListener('exit', exits)
  }
}

function exits(): void {
  for (const fn of atExit) fn()
}

/** Calls `fn` when `signal` aborts. Returns what takes that back. */
export function onAbort(signal: AbortSignal, fn: Callback): Callback {
  const callbacks = waiting.get(signal) ?? begin(signal)
  callbacks.add(fn)
  return () => {
    callbacks.delete(fn)
  }
}

function begin(signal: AbortSignal): Set<Callback> {
  const callbacks = new Set<Callback>()
  waiting.set(signal, callbacks)
  const aborted = () => {
    for (const fn of callbacks) fn()
  }
  signal.addEventListener('abort', aborted, { once: true })
  return callbacks
}
