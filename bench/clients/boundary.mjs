/**
 * node boundary.mjs ADDON SECONDS: events from a thread of the addon to a
 * JavaScript function, through the ring and by one call each; prints one line
 * of JSON. The addon exports two functions for this, both of which return at
 * once and produce from a thread of their own:
 *
 * - `benchRing(memory, events, doorbell)`: writes `events` records into the
 *   event ring of a worker's memory (Layout, Region, Control of the wire
 *   contract) with the engine's own producer, waits where the ring is full, and
 *   rings `doorbell` as the engine does: when EVENT_WAKE goes from 0 to 1.
 * - `benchCalls(events, onEvent)`: one ThreadsafeFunction call for each event,
 *   with the first words of a record as arguments.
 *
 * In both, the second word counts up from 0, so that a loss shows.
 */

import { createRequire } from 'node:module'
import { Control, Layout, Region } from '../../dist/wire/wire.js'

const [path = '', seconds = '1'] = process.argv.slice(2)
const addon = createRequire(import.meta.url)(path)
for (const name of ['benchRing', 'benchCalls']) {
  if (typeof addon[name] !== 'function') {
    console.error(`${path} does not export ${name}: build it with its benchmarks`)
    process.exit(1)
  }
}

/** Longest wait for the events of one run, ms. */
const PATIENCE = 30_000

/** The function that every event reaches; it keeps something, so that it stays. */
let seen = 0
let sum = 0
let lost = 0
let wanted = 0
let finished = () => {}
/**
 * @param {number} kind
 * @param {number} slot
 * @param {number} generation
 * @param {number} a
 */
function onEvent(kind, slot, generation, a) {
  if (slot !== seen) lost++
  if (++seen === wanted) finished()
  sum = (sum + kind + generation + a) | 0
}

const { EVENT_HEAD, EVENT_TAIL, EVENT_WAKE } = Control
const { EVENT_CAPACITY, RECORD_WORDS, POSITION_MASK } = Layout

let wakes = 0
/** @param {Int32Array} memory */
function drain(memory) {
  wakes++
  // Cleared first: what is written from here on rings again.
  Atomics.store(memory, EVENT_WAKE, 0)
  let tail = Atomics.load(memory, EVENT_TAIL)
  for (;;) {
    const head = Atomics.load(memory, EVENT_HEAD)
    if (head === tail) return
    while (tail !== head) {
      const at = Region.EVENT_RING + (tail & (EVENT_CAPACITY - 1)) * RECORD_WORDS
      onEvent(
        /** @type {number} */ (memory[at]),
        /** @type {number} */ (memory[at + 1]),
        /** @type {number} */ (memory[at + 2]),
        /** @type {number} */ (memory[at + 3]),
      )
      tail = (tail + 1) & POSITION_MASK
    }
    Atomics.store(memory, EVENT_TAIL, tail)
  }
}

/**
 * Kept: the addon's thread may still look at one after its last event has arrived.
 * @type {Int32Array[]}
 */
const memories = []

/** @param {number} events */
function ring(events) {
  const memory = new Int32Array(new SharedArrayBuffer(Region.WORKER_WORDS * 4))
  memories.push(memory)
  return run(events, () => addon.benchRing(memory, events, () => drain(memory)))
}

/** @param {number} events */
function calls(events) {
  return run(events, () => addon.benchCalls(events, onEvent))
}

/**
 * @param {number} events
 * @param {() => void} start
 * @returns {Promise<{events: number, rate: number, cpu: number, wakes: number}>} events a
 *   second, CPU of the whole process in ns an event
 */
async function run(events, start) {
  seen = 0
  lost = 0
  wakes = 0
  const cpu = process.cpuUsage()
  const begin = performance.now()
  await new Promise((resolve, reject) => {
    const late = () => reject(new Error(`${seen} of ${events} events in ${PATIENCE / 1000} s`))
    const timer = setTimeout(late, PATIENCE)
    wanted = events
    finished = () => {
      clearTimeout(timer)
      resolve(undefined)
    }
    start()
  })
  const elapsed = performance.now() - begin
  const { user, system } = process.cpuUsage(cpu)
  if (lost > 0) throw new Error(`${lost} events out of order`)
  return { events, rate: (events / elapsed) * 1000, cpu: ((user + system) * 1000) / events, wakes }
}

/**
 * Warms up, then sizes the run to the time it shall take.
 * @param {(events: number) => ReturnType<typeof run>} way
 */
async function sized(way) {
  const { rate } = await way(100_000)
  return way(Math.max(100_000, Math.round(rate * Number(seconds))))
}

const result = { ring: await sized(ring), calls: await sized(calls), sum }
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))
