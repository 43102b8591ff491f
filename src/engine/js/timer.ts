/** Runs `fn` after `ms` unless cancelled; 0 means never. Does not keep the process alive. */
export function timer(ms: number, fn: () => void): NodeJS.Timeout | undefined {
  if (ms <= 0) return undefined
  return setTimeout(fn, Math.min(ms, 0x7fffffff)).unref()
}
