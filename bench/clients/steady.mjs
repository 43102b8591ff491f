/**
 * node steady.mjs PORT CONNECTIONS RATE MS [tls]: RATE requests a second, issued at
 * each millisecond whatever became of those before, over connections that stay.
 * Two windows of MS each; prints "now" when the second begins and then one line
 * of JSON with the latencies of both in microseconds, counted from issued to
 * answered. A request that finds its connection busy waits its turn there, and
 * its clock runs, so that a stall of the proxy counts for all that it held up.
 * What this client itself is late with is not counted: it issues it later.
 */

import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { percentile } from '../lib/stats.mjs'

const [port = 0, connections = 1, rate = 1, ms = 0] = process.argv.slice(2).map(Number)
const tls = process.argv[6] === 'tls'
const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

/** How long to wait for the replies that are missing when the time is over, ms. */
const PATIENCE = ms + 5000
/** Between the connecting and the first window, ms: both windows then find warm code. */
const WARM_UP = 500

/** @type {string[]} */
const errors = []
/** @type {{before: number[], during: number[]}} */
const latencies = { before: [], during: [] }
let outstanding = 0

class Line {
  /** @type {number[]} times of requests not answered yet, ms; the first is under way */
  queue = []
  /** Bytes of replies that have come in for the first of the queue. */
  got = 0

  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.socket = socket
  }

  /** @param {number} due */
  request(due) {
    this.queue.push(due)
    outstanding++
    if (this.queue.length === 1) this.socket.write(REQUEST)
  }

  /**
   * @param {number} bytes
   * @param {number} replyLength
   */
  received(bytes, replyLength) {
    this.got += bytes
    if (this.got < replyLength) return
    this.got -= replyLength
    const due = /** @type {number} */ (this.queue.shift())
    outstanding--
    record(due, performance.now())
    if (this.queue.length > 0) this.socket.write(REQUEST)
  }
}

let start = Number.POSITIVE_INFINITY
/**
 * @param {number} due
 * @param {number} now
 */
function record(due, now) {
  if (due < start) return
  const window = due < start + ms ? latencies.before : latencies.during
  window.push((now - due) * 1000)
}

/** Length of the one reply there is; learnt from the first. */
let replyLength = 0

/** @returns {Promise<Line>} */
function open() {
  return new Promise((resolve, reject) => {
    const to = { port, host: '127.0.0.1', noDelay: true }
    const socket = tls ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to)
    const line = new Line(socket)
    socket.on('error', reject)
    socket.on('close', () => errors.push('a connection was closed'))
    socket.on(tls ? 'secureConnect' : 'connect', () => socket.write(REQUEST))
    socket.once('data', (first) => {
      if (first.toString('latin1', 0, 12) !== 'HTTP/1.1 200') {
        reject(new Error(`unexpected reply: ${first.toString('latin1', 0, 40)}`))
        return
      }
      replyLength = first.length
      socket.on('data', (bytes) => line.received(bytes.length, replyLength))
      resolve(line)
    })
  })
}

/** @param {number[]} values */
function summary(values) {
  return {
    count: values.length,
    p50: percentile(values, 50),
    p99: percentile(values, 99),
    'p99.9': percentile(values, 99.9),
    max: percentile(values, 100),
  }
}

const lines = await Promise.all(Array.from({ length: connections }, open))
const begin = performance.now()
start = begin + WARM_UP
const end = start + 2 * ms
let sent = 0
let announced = false

function tick() {
  const now = performance.now()
  const wanted = Math.floor(((Math.min(now, end) - begin) * rate) / 1000)
  for (; sent < wanted; sent++) lines[sent % lines.length]?.request(now)
  if (!announced && now >= start + ms) {
    announced = true
    process.stdout.write('now\n')
  }
  if (now >= end && (outstanding === 0 || now > end + PATIENCE)) finish()
}
const timer = setInterval(tick, 1)

function finish() {
  clearInterval(timer)
  if (outstanding > 0) errors.push(`${outstanding} requests without a reply`)
  const result = { before: summary(latencies.before), during: summary(latencies.during), errors }
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))
}
