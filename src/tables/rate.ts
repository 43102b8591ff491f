/**
 * Sliding-window rates: how much was counted during the last `window` ms.
 *
 * The window is cut into `SLICES` slices. A rate keeps the sum of the running
 * slice and of the `SLICES` slices before it; the oldest of these is partly out
 * of the window, and counts in proportion to the part that is still inside, as
 * though its events had come evenly. (HAProxy's freq_ctr is the case SLICES = 1.)
 *
 * Error: let `n` be what was counted in that oldest slice and `p` the part of it
 * that has left the window. The rate differs from the exact count of the last
 * `window` ms by at most `n * max(p, 1 - p)`, plus 0.5 from rounding. So it is
 * exact where nothing was counted in the slice at the window's edge, is never
 * wrong by more than what one slice held, and a burst is forgotten between
 * `window` and `window * (1 + 1 / SLICES)` after it.
 */

export const SLICES = 4

/** Words (or doubles) of one rate: number of the running slice, then the sums, newest first. */
export const RATE_CELLS = SLICES + 2

type Cells = Uint32Array | Float64Array

const MAX_COUNT = 0xffff_ffff

/**
 * Counts `delta` at time `now` (ms) in the rate at `cells[at]`. In a Uint32Array a slice's
 * sum stops at 4294967295. Precondition: `delta` > 0, `now` not before the last call.
 */
export function feedRate(
  cells: Cells,
  at: number,
  slice: number,
  now: number,
  delta: number,
): void {
  const number = sliceNumber(now / slice)
  const passed = (number - (cells[at] as number)) >>> 0
  const newest = at + 1
  if (passed > 0) {
    cells[at] = number
    for (let age = SLICES; age >= 0; age--) {
      cells[newest + age] = age >= passed ? (cells[newest + age - passed] as number) : 0
    }
  }
  const sum = (cells[newest] as number) + delta
  cells[newest] = sum > MAX_COUNT && cells instanceof Uint32Array ? MAX_COUNT : sum
}

/** What was counted during the last `slice * SLICES` ms before `now`, rounded. */
export function readRate(cells: Cells, at: number, slice: number, now: number): number {
  const position = now / slice
  const passed = (sliceNumber(position) - (cells[at] as number)) >>> 0
  if (passed > SLICES) return 0
  const newest = at + 1
  const oldest = SLICES - passed
  let sum = 0
  for (let age = 0; age < oldest; age++) sum += cells[newest + age] as number
  const inside = 1 - (position - Math.floor(position))
  return Math.round(sum + (cells[newest + oldest] as number) * inside)
}

/** Makes the rate read `value` now. */
export function setRate(cells: Cells, at: number, slice: number, now: number, value: number): void {
  cells.fill(0, at, at + RATE_CELLS)
  if (value > 0) feedRate(cells, at, slice, now, value)
}

/** Modulo 2^32; a rate would have to be left alone for 2^32 slices (34 years at a window of 1 s) to be misread. */
function sliceNumber(position: number): number {
  return Math.floor(position) >>> 0
}
