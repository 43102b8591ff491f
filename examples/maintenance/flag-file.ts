/** A switch that is a file: on while it exists. */
import { existsSync } from 'node:fs'

/** Asks for the file at most once in `interval` ms, however often it is called. */
export function flagFile(path: string, interval = 1_000, now = Date.now): () => boolean {
  let on = false
  let next = Number.NEGATIVE_INFINITY
  return () => {
    const time = now()
    if (time >= next) {
      next = time + interval
      on = existsSync(path)
    }
    return on
  }
}
