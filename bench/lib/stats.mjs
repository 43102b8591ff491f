/** Medians and ratios of samples. */

/**
 * @param {number[]} values
 * @returns {number} NaN where there are none
 */
export function median(values) {
  return percentile(values, 50)
}

/**
 * Linear interpolation between the two nearest ranks.
 * @param {readonly number[] | Float64Array} values
 * @param {number} percent 0 to 100
 * @returns {number} NaN where there are none
 */
export function percentile(values, percent) {
  if (values.length === 0) return Number.NaN
  const sorted = Float64Array.from(values).sort()
  const rank = ((sorted.length - 1) * percent) / 100
  const low = Math.floor(rank)
  const high = Math.ceil(rank)
  const a = /** @type {number} */ (sorted[low])
  const b = /** @type {number} */ (sorted[high])
  return a + (b - a) * (rank - low)
}

/** @typedef {{median: number, min: number, max: number, count: number}} Spread */

/**
 * @param {number[]} values
 * @returns {Spread}
 */
export function spread(values) {
  return {
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
    count: values.length,
  }
}

/**
 * One value divided by the other round by round, then the spread of these
 * ratios: what drifts on the machine from round to round hits both alike.
 * Rounds where either is missing or not above 0 are left out.
 * @param {ReadonlyMap<number, number>} numerator value by round
 * @param {ReadonlyMap<number, number>} denominator value by round
 * @returns {Spread | undefined} nothing where no round has both
 */
export function ratio(numerator, denominator) {
  const ratios = []
  for (const [round, value] of numerator) {
    const divisor = denominator.get(round)
    if (divisor !== undefined && divisor > 0 && value > 0) ratios.push(value / divisor)
  }
  return ratios.length === 0 ? undefined : spread(ratios)
}
