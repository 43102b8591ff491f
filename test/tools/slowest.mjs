// A reporter of node:test that adds up how long the tests took that a file declares, which
// may be a helper that several files share: a line
// `milliseconds<TAB>file` for each, for the runner, which prints the slowest.

import { fileURLToPath } from 'node:url'

export default async function* durations(events) {
  const sums = new Map()
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    if (data.nesting !== 0 || data.file === undefined) continue
    const file = data.file.startsWith('file:') ? fileURLToPath(data.file) : data.file
    sums.set(file, (sums.get(file) ?? 0) + data.details.duration_ms)
  }
  for (const [file, sum] of sums) yield `${Math.round(sum)}\t${file}\n`
}
