/** CPU and memory of a process with all its threads and children, from /proc. */

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** Clock ticks a second of /proc/<pid>/stat. */
const TICKS = ticksPerSecond()

function ticksPerSecond() {
  try {
    return Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
  } catch {
    return 100
  }
}

/**
 * Fields of /proc/<pid>/stat from the third on: index 0 is the state, 1 the
 * parent, 11 utime, 12 stime (proc(5) counts from 1 with the name as second).
 * @param {number} pid
 * @returns {string[] | undefined} nothing where the process is gone
 */
function stat(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name is in parentheses and may itself hold spaces and parentheses.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

/**
 * @param {number[]} roots
 * @returns {number[]} the roots and all their descendants that live now
 */
export function processTree(roots) {
  /** @type {Map<number, number[]>} */
  const children = new Map()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    const parent = Number(stat(pid)?.[1])
    const siblings = children.get(parent)
    if (siblings === undefined) children.set(parent, [pid])
    else siblings.push(pid)
  }
  const found = new Set(roots)
  for (const pid of found) for (const child of children.get(pid) ?? []) found.add(child)
  return [...found]
}

/**
 * utime + stime of all threads, those that ended included.
 * @param {number[]} roots
 * @returns {number} seconds since the processes started
 */
export function cpuSeconds(roots) {
  let ticks = 0
  for (const pid of processTree(roots)) {
    const fields = stat(pid)
    if (fields !== undefined) ticks += Number(fields[11]) + Number(fields[12])
  }
  return ticks / TICKS
}

/**
 * Times that the kernel took a core from one of their threads, wanted or not.
 * @param {number[]} roots
 * @returns {number} of the threads that live now, since they started
 */
export function contextSwitches(roots) {
  let switches = 0
  for (const pid of processTree(roots)) {
    for (const task of tasks(pid)) {
      try {
        const text = readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8')
        for (const [, count] of text.matchAll(/ctxt_switches:\s+(\d+)/g)) switches += Number(count)
      } catch {
        // Gone meanwhile.
      }
    }
  }
  return switches
}

/** @param {number} pid */
function tasks(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}

/**
 * Resident and proportional memory.
 * @param {number[]} roots
 * @returns {{rss: number, pss: number, anonymous: number}} bytes
 */
export function memory(roots) {
  const sum = { rss: 0, pss: 0, anonymous: 0 }
  for (const pid of processTree(roots)) {
    let text
    try {
      text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
    } catch {
      continue
    }
    sum.rss += kilobytes(text, 'Rss')
    sum.pss += kilobytes(text, 'Pss')
    sum.anonymous += kilobytes(text, 'Anonymous')
  }
  return sum
}

/**
 * @param {string} text
 * @param {string} key
 */
function kilobytes(text, key) {
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024
}

/**
 * @param {number} core
 * @returns {number} seconds since boot in which this core did anything
 */
export function coreBusySeconds(core) {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'))
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (line?.[1] ?? '')
    .split(' ')
    .map(Number)
  return (user + nice + system + irq + softirq) / TICKS
}
