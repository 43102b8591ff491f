/** Somebody else's code at the beginning of a proxy. */

/** `starting`, or an error once `signal` says that nobody waits for it. */
export async function orEnded(starting: void | Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  let stop = () => {}
  const ended = new Promise<never>((_, reject) => {
    const ends = () => reject(signal.reason)
    signal.addEventListener('abort', ends)
    stop = () => signal.removeEventListener('abort', ends)
  })
  await Promise.race([starting, ended]).finally(stop)
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
