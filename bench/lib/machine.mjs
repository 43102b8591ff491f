/** What the figures were measured on. */

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, hostname, release, totalmem } from 'node:os'

/** @returns {Record<string, string | number>} */
export function describeMachine() {
  return {
    host: hostname(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    kernel: release(),
    node: process.version,
    v8: process.versions.v8,
    commit: git('rev-parse', '--short=12', 'HEAD'),
    changed: git('status', '--porcelain', '--untracked-files=no') === '' ? 'no' : 'yes',
  }
}

/** @returns {number} open files that one process may have */
export function openFilesLimit() {
  try {
    const text = readFileSync('/proc/self/limits', 'utf8')
    return Number(/^Max open files\s+(\d+)/m.exec(text)?.[1] ?? 1024)
  } catch {
    return 1024
  }
}

/** @param {string[]} args */
function git(...args) {
  try {
    const cwd = new URL('.', import.meta.url).pathname
    return execFileSync('git', args, {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return 'unknown'
  }
}
