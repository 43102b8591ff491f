/** Tables: padded for the terminal, Markdown for the file. */

import { judge } from './targets.mjs'

/** @typedef {import('./summary.mjs').ScenarioSummary} ScenarioSummary */

/**
 * @typedef {object} Table
 * @property {string} title
 * @property {string} note
 * @property {string[]} head
 * @property {string[][]} rows
 */

/**
 * Medians, and native divided by the peer in parentheses.
 * @param {ScenarioSummary} summary
 * @returns {Table}
 */
export function scenarioTable(summary) {
  const head = ['peer', ...summary.metrics.map(({ title, unit }) => `${title}, ${unit}`)]
  const rows = summary.peers.map((peer) => [
    peer.failed > 0
      ? `${peer.name} [${peer.failed} of ${peer.taken} failed: ${peer.errors.join('; ')}]`
      : peer.name,
    ...summary.metrics.map(({ key, digits }) => {
      const value = peer.values[key]
      if (value === undefined) return '-'
      const ratio = summary.ratios[key]?.[peer.name]
      return `${group(value.median, digits)}${ratio === undefined ? '' : ` (${ratio.median.toFixed(2)}x)`}`
    }),
  ])
  return { title: summary.title, note: summary.note, head, rows }
}

/**
 * The ratios of the headline metrics with their range over the rounds.
 * @param {ScenarioSummary[]} summaries
 * @returns {Table}
 */
export function ratioTable(summaries) {
  const rows = []
  for (const { title, metrics, ratios } of summaries) {
    for (const { key, title: metric, better, chart } of metrics) {
      if (chart !== true) continue
      for (const [peer, spread] of Object.entries(ratios[key] ?? {})) {
        const range = `${spread.min.toFixed(2)} to ${spread.max.toFixed(2)}`
        rows.push([title, metric, peer, `${spread.median.toFixed(2)}x`, range, better])
      }
    }
  }
  return {
    title: 'Native divided by each peer',
    note: 'Ratio in each round, then the median and the range over the rounds.',
    head: ['scenario', 'metric', 'peer', 'median', 'range', 'better is'],
    rows,
  }
}

/**
 * @param {ScenarioSummary[]} summaries
 * @returns {Table}
 */
export function targetTable(summaries) {
  const words = { true: 'reached', false: 'missed', undefined: '-' }
  return {
    title: 'To reach',
    note: 'Median of native (range over the rounds) against what it has to reach.',
    head: ['figure', 'to reach', 'measured', ''],
    rows: judge(summaries).map(({ title, wanted, measured, reached }) => [
      title,
      wanted,
      measured,
      words[`${/** @type {true} */ (reached)}`],
    ]),
  }
}

/**
 * @param {Table} table
 * @returns {string}
 */
export function terminal({ title, head, rows }) {
  const widths = head.map((text, at) =>
    Math.max(text.length, ...rows.map((row) => row[at]?.length ?? 0)),
  )
  const line = (/** @type {string[]} */ cells) =>
    cells
      .map((text, at) => (at === 0 ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0)))
      .join('  ')
  return ['', title, line(head), ...rows.map(line)].join('\n')
}

/**
 * @param {Table} table
 * @returns {string}
 */
export function markdown({ title, note, head, rows }) {
  const line = (/** @type {string[]} */ cells) =>
    `| ${cells.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`
  const align = head.map((_, at) => (at === 0 ? '---' : '---:'))
  return [`## ${title}`, '', note, '', line(head), line(align), ...rows.map(line), ''].join('\n')
}

/**
 * The whole of latest.md.
 * @param {{machine: Record<string, string | number>, network: Record<string, string>,
 *   versions: Record<string, string>, notes: string[], date: string, command: string,
 *   summaries: ScenarioSummary[]}} run
 * @returns {string}
 */
export function document({ machine, network, versions, notes, date, command, summaries }) {
  const facts = (/** @type {Record<string, string | number>} */ record) =>
    Object.entries(record)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')
  return [
    '# Benchmark results',
    '',
    `Written by \`${command}\` on ${date}. How to read this: [docs/benchmarks.md](../../docs/benchmarks.md).`,
    '',
    '![ratios](latest.svg)',
    '',
    `- Machine: ${facts(machine)}.`,
    `- Network: ${facts(network)}.`,
    ...Object.entries(versions).map(([name, version]) => `- ${name}: ${version}.`),
    ...notes.map((note) => `- ${note}`),
    '',
    markdown(targetTable(summaries)),
    ...summaries.map((summary) => markdown(scenarioTable(summary))),
    markdown(ratioTable(summaries)),
  ].join('\n')
}

/**
 * @param {number} value
 * @param {number} digits
 */
function group(value, digits) {
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })
}
