/** An SVG of bars: how many times better native is than each peer. */

/** Bars run over a logarithmic scale from LOW to HIGH; what is beyond is cut and labelled. */
const LOW = 0.25
const HIGH = 16
const LEFT = 190
const WIDTH = 520
const BAR = 16
const GAP = 14

/** @type {Record<string, string>} */
const COLOURS = {
  haproxy: '#2f6fab',
  'haproxy-splice': '#5f97cb',
  nginx: '#3a8f5c',
  'node-pipe': '#b0722a',
  js: '#8a5fa8',
  'node-tls': '#b0722a',
}

/**
 * @param {import('./summary.mjs').ScenarioSummary[]} summaries
 * @param {string} caption
 * @returns {string}
 */
export function chart(summaries, caption) {
  const bars = []
  let y = 56
  for (const summary of summaries) {
    for (const metric of summary.metrics) {
      const ratios = Object.entries(summary.ratios[metric.key] ?? {})
      if (metric.chart !== true || ratios.length === 0) continue
      bars.push(text(10, y, `${summary.title}: ${metric.title}`, 'font-weight="bold"'))
      y += 6
      for (const [peer, spread] of ratios) {
        // Above 1 is better for us whatever the metric counts.
        const inverse = metric.better === 'lower'
        const value = inverse ? 1 / spread.median : spread.median
        const ends = inverse ? [1 / spread.max, 1 / spread.min] : [spread.min, spread.max]
        bars.push(bar(y, peer, value, /** @type {[number, number]} */ (ends)))
        y += BAR + 4
      }
      y += GAP
    }
  }
  const height = y + 20
  const ticks = [0.25, 0.5, 1, 2, 4, 8, 16].map((value) => {
    const stroke = value === 1 ? '#222' : '#ddd'
    return `<line x1="${x(value)}" x2="${x(value)}" y1="42" y2="${y}" stroke="${stroke}"/>${text(x(value), y + 14, `${value}x`, 'text-anchor="middle" fill="#555"')}`
  })
  const width = LEFT + WIDTH + 70
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="12" role="img">
<rect width="100%" height="100%" fill="#fff"/>
${text(10, 20, 'How many times better the native engine is (right of 1x: native is better)', 'font-size="14" font-weight="bold"')}
${text(10, 36, caption, 'fill="#555"')}
${ticks.join('\n')}
${bars.join('\n')}
</svg>
`
}

/**
 * @param {number} y
 * @param {string} peer
 * @param {number} value
 * @param {[number, number]} ends
 */
function bar(y, peer, value, ends) {
  const from = Math.min(x(1), x(value))
  const width = Math.max(1, Math.abs(x(value) - x(1)))
  const middle = y + BAR / 2
  const label = `${value.toFixed(2)}x`
  const after = Math.max(x(1), x(value), x(ends[1])) + 6
  return [
    text(LEFT - 8, middle + 4, peer, 'text-anchor="end"'),
    `<rect x="${from}" y="${y}" width="${width}" height="${BAR}" fill="${COLOURS[peer] ?? '#777'}"${value < 1 ? ' opacity="0.55"' : ''}/>`,
    `<line x1="${x(ends[0])}" x2="${x(ends[1])}" y1="${middle}" y2="${middle}" stroke="#222"/>`,
    text(after, middle + 4, label, ''),
  ].join('')
}

/** @param {number} value */
function x(value) {
  const cut = Math.min(HIGH, Math.max(LOW, value))
  return Math.round((LEFT + (Math.log2(cut / LOW) / Math.log2(HIGH / LOW)) * WIDTH) * 10) / 10
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} words
 * @param {string} attributes
 */
function text(x, y, words, attributes) {
  const escaped = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x}" y="${y}" ${attributes}>${escaped}</text>`
}
