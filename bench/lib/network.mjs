/** Ports, TIME_WAIT, and a network namespace of the run's own. */

import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { findProgram } from './processes.mjs'

const MARK = 'SLUICE_BENCH_NAMESPACE'

/**
 * Runs this program again in a network namespace of its own, so that the
 * sockets of the run (TIME_WAIT above all) are its own, the range of ports can
 * be widened, and nothing on the machine is changed or disturbed.
 *
 * @returns {boolean} true in the outer process, which has nothing left to do:
 *   it ends with the exit code of the inner one. False where the caller goes on
 *   (inside already, or no namespaces on this machine: see `describeNetwork`).
 */
export function enterNamespace() {
  if (process.env[MARK] !== undefined || process.platform !== 'linux') return false
  const unshare = namespaceCommand()
  if (unshare === undefined) return false
  const [command, ...args] = unshare
  const script = /** @type {string} */ (process.argv[1])
  const child = spawn(
    /** @type {string} */ (command),
    [...args, process.execPath, ...process.execArgv, script, ...process.argv.slice(2)],
    { stdio: 'inherit', env: { ...process.env, [MARK]: '1' } },
  )
  for (const signal of /** @type {NodeJS.Signals[]} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    // A terminal's Ctrl-C reaches the inner process by itself; twice does no harm.
    process.on(signal, () => child.kill(signal))
  }
  child.on('error', () => process.exit(1))
  child.on('exit', (code) => process.exit(code ?? 1))
  return true
}

/** @returns {string[] | undefined} the command that works here, tried out */
function namespaceCommand() {
  const unshare = findProgram('unshare')
  const ip = findProgram('ip')
  if (unshare === undefined || ip === undefined) return undefined
  for (const flags of [['--net'], ['--user', '--map-root-user', '--net']]) {
    const probe = spawnSync(unshare, [...flags, ip, 'link', 'set', 'lo', 'up'], { timeout: 5000 })
    if (probe.status === 0) return [unshare, ...flags]
  }
  return undefined
}

/** Raises the loopback and sets what the peers share, inside a namespace of our own only. */
export function prepareNamespace() {
  if (process.env[MARK] === undefined) return
  const ip = findProgram('ip')
  if (ip !== undefined) spawnSync(ip, ['link', 'set', 'lo', 'up'], { timeout: 5000 })
  setFirst('ip_local_port_range', ['10000 65000'])
  setFirst('tcp_tw_reuse', ['2'])
  // BBR paces every segment by a timer even on the loopback: its timers would be what is measured.
  setFirst('tcp_congestion_control', ['cubic', 'reno'])
}

/**
 * @param {string} name below net.ipv4
 * @param {string[]} values the first one that the kernel takes
 */
function setFirst(name, values) {
  for (const value of values) {
    try {
      writeFileSync(`/proc/sys/net/ipv4/${name}`, value)
      return
    } catch {
      // The next one; what it is in the end is reported by describeNetwork.
    }
  }
}

/** @returns {Record<string, string>} what a reader needs to judge connection rates */
export function describeNetwork() {
  /** @type {Record<string, string>} */
  const facts = { namespace: process.env[MARK] === undefined ? 'host' : 'own' }
  for (const name of [
    'ip_local_port_range',
    'tcp_tw_reuse',
    'tcp_max_tw_buckets',
    'tcp_congestion_control',
    'tcp_rmem',
    'tcp_wmem',
  ]) {
    facts[name] = sysctl(`ipv4/${name}`)
  }
  facts.somaxconn = sysctl('core/somaxconn')
  return facts
}

/** @param {string} name */
function sysctl(name) {
  try {
    return readFileSync(`/proc/sys/net/${name}`, 'utf8').trim().replaceAll('\t', ' ')
  } catch {
    return 'unknown'
  }
}

/** @returns {number} sockets in TIME_WAIT, in this namespace */
export function timeWaits() {
  return Number(/^TCP:.* tw (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'utf8'))?.[1] ?? 0)
}

/**
 * Gets rid of sockets in TIME_WAIT, so that no peer inherits those of the one
 * before it: by ending them, in a namespace of our own where the kernel can
 * (INET_DIAG_DESTROY), or else by waiting within bounds.
 * @param {number} limit sockets
 * @param {number} longest ms
 * @returns {Promise<number>} how many there are now
 */
export async function settle(limit, longest) {
  const end = performance.now() + longest
  if (timeWaits() > limit && process.env[MARK] !== undefined && findProgram('ss') !== undefined) {
    spawnSync('ss', ['-K', 'state', 'time-wait'], { stdio: 'ignore', timeout: longest })
  }
  while (timeWaits() > limit && performance.now() < end) await sleep(200)
  return timeWaits()
}

/** @returns {Promise<number>} a port on which nobody listens at this moment */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

/**
 * Waits until somebody accepts on a port.
 * @param {number} port on 127.0.0.1
 * @param {import('./processes.mjs').Started} started the process that should
 * @param {number} [limit] ms
 * @throws {Error} where the process ends first or the time is over
 */
export async function listening(port, started, limit = 10_000) {
  const end = performance.now() + limit
  while (performance.now() < end) {
    if (started.ended !== undefined) {
      throw new Error(`${started.name} ended with ${started.ended}: ${started.lastWords}`)
    }
    if (await accepts(port)) return
    await sleep(25)
  }
  throw new Error(
    `${started.name} does not listen on port ${port} after ${limit / 1000} s: ${started.lastWords}`,
  )
}

/**
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
