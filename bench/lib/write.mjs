/** Results on disk: everything as JSON, a table, a chart. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chart } from './chart.mjs'
import { document } from './report.mjs'
import { judge } from './targets.mjs'

/**
 * @param {{machine: Record<string, string | number>, network: Record<string, string>,
 *   versions: Record<string, string>, notes: string[], options: import('./options.mjs').Options,
 *   started: Date, samples: import('./summary.mjs').TakenSample[],
 *   summaries: import('./summary.mjs').ScenarioSummary[]}} run
 * @returns {string[]} the files
 */
export function writeResults(run) {
  const { machine, options, started, summaries, versions } = run
  mkdirSync(options.output, { recursive: true })
  const stamp = started.toISOString().slice(0, 19).replaceAll(':', '')
  const command = [
    'npm run bench',
    ...(process.argv.length > 2 ? ['--'] : []),
    ...process.argv.slice(2),
  ]
  const results = { ...run, finished: new Date(), targets: judge(summaries) }
  const json = join(options.output, `${stamp}-${machine.host}.json`)
  const table = join(options.output, 'latest.md')
  const picture = join(options.output, 'latest.svg')
  const date = started.toISOString()
  const against = Object.entries(versions).filter(
    ([name]) => name !== 'wrk' && !/^(native|js)\b/.test(name),
  )
  writeFileSync(json, `${JSON.stringify(results, null, 1)}\n`)
  writeFileSync(table, document({ ...run, date, command: command.join(' ') }))
  writeFileSync(
    picture,
    chart(
      summaries,
      `${machine.cpu}, one core; medians of ${options.rounds} rounds, ${date.slice(0, 10)}; ${against.map(([, text]) => text.split(' - ')[0]).join('; ')}`,
    ),
  )
  return [json, table, picture]
}
