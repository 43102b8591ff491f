/** Suggestions for misspelt keys and values. */

/**
 * Edits between two words: insert, delete, replace, or swap two neighbours
 * (optimal string alignment distance).
 */
export function editDistance(a: string, b: string): number {
  const width = b.length + 1
  const rows = Array.from({ length: a.length + 1 }, () => new Array<number>(width).fill(0))
  for (let i = 0; i <= a.length; i++) {
    const row = rows[i] as number[]
    row[0] = i
    for (let j = 1; j <= b.length; j++) {
      if (i === 0) {
        row[j] = j
        continue
      }
      const above = rows[i - 1] as number[]
      const same = a[i - 1] === b[j - 1]
      let best = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, rows[i - 2]![j - 2]! + 1)
      }
      row[j] = best
    }
  }
  return rows[a.length]![b.length]!
}

/**
 * The nearest of `candidates` to `word`, where it is near enough to be meant:
 * at most a third of the letters differ, or one is the beginning of the other. Case, '-' and '_' do not count.
 */
export function suggest(word: string, candidates: Iterable<string>): string | undefined {
  // A very long word is no misspelling, and the distance is quadratic.
  if (word.length > 64) return undefined
  const plain = (text: string) => text.toLowerCase().replace(/[-_]/g, '')
  const wanted = plain(word)
  let nearest: string | undefined
  let least = Number.POSITIVE_INFINITY
  for (const candidate of candidates) {
    const target = plain(candidate)
    const distance = isBeginning(wanted, target) ? 1 : editDistance(wanted, target)
    const allowed = Math.max(1, Math.floor(Math.max(wanted.length, target.length) / 3))
    if (
      distance <= allowed &&
      distance < Math.max(wanted.length, target.length) &&
      distance < least
    ) {
      nearest = candidate
      least = distance
    }
  }
  return nearest
}

/** 'warn' of 'warning', 'max' of 'maxconn'. */
function isBeginning(a: string, b: string): boolean {
  return Math.min(a.length, b.length) >= 3 && (a.startsWith(b) || b.startsWith(a))
}
