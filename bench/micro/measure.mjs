/** Timing for the micro benchmarks: best and median of several rounds, in ns per operation. */

/**
 * Calls `run(operations)` for each round and prints one line.
 * @param {string} name
 * @param {number} operations
 * @param {(operations: number) => unknown} run
 */
export function measure(name, operations, run, rounds = 7) {
  run(Math.min(operations, 100_000))
  const times = []
  for (let round = 0; round < rounds; round++) {
    const start = process.hrtime.bigint()
    sink = run(operations)
    times.push(Number(process.hrtime.bigint() - start) / operations)
  }
  times.sort((a, b) => a - b)
  const [best, median] = [times[0], times[rounds >> 1]]
  console.log(
    `${name.padEnd(58)} ${best.toFixed(0).padStart(6)} best ${median.toFixed(0).padStart(6)} median ns/op`,
  )
}

/** Keeps results alive, so that the work is not optimised away. */
export let sink

/** Bytes of heap that `run` leaves as garbage for each operation. Needs --expose-gc. */
export function garbage(name, operations, run) {
  if (!globalThis.gc) return
  run(operations)
  globalThis.gc()
  const before = process.memoryUsage().heapUsed
  sink = run(operations)
  const bytes = Math.max(process.memoryUsage().heapUsed - before, 0) / operations
  console.log(`${name.padEnd(58)} ${bytes.toFixed(2).padStart(6)} bytes of garbage/op`)
}

/** Small fast generator of 32-bit numbers. */
export function random32(seed = 1) {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state ^ (state >>> 16)) >>> 0
  }
}

export function dotted(word) {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`
}
