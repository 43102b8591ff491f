/** Sluice through its command line, one worker, a rule on every connection. */

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ADDON_MISSING, findAddon } from '../lib/addon.mjs'
import { freePort } from '../lib/network.mjs'
import { startPinned, temporaryDirectory } from '../lib/processes.mjs'
import { SUITE } from '../lib/tls.mjs'
import { runningPeer } from './peer.mjs'

/** This checkout. */
const HERE = fileURLToPath(new URL('../..', import.meta.url))

/** A server name that nobody but the check of the ClientHello rule asks for. */
const BLOCKED = 'blocked.test'

/** @param {string} checkout */
const main = (checkout) => join(resolve(checkout), 'dist/cli/main.js')

/**
 * @param {'native' | 'js'} engine
 * @param {{hello?: boolean, baseline?: boolean}} [how] hello: a rule that reads every
 *   ClientHello; baseline: the checkout that --baseline names instead of this one
 * @returns {import('./peer.mjs').Peer}
 */
export function sluice(engine, { hello = false, baseline = false } = {}) {
  const name = hello ? `${engine}-hello` : engine
  return {
    name: baseline ? 'baseline' : name,
    ...(hello ? { only: ['tls-hello-policy'] } : {}),
    missing(options) {
      if (baseline && options.baseline === undefined) return 'no --baseline DIR'
      const program = main(baseline ? (options.baseline ?? '') : HERE)
      if (!existsSync(program)) return `no ${program}: npm run build`
      if (engine === 'native' && !baseline && findAddon() === undefined) return ADDON_MISSING
      return undefined
    },
    version: (options) => {
      const checkout = baseline ? resolve(options.baseline ?? '') : HERE
      return `${sluiceVersion(checkout)} ${engine} on node ${process.version}`
    },
    async start({ core, upstream, options, tls }) {
      const directory = temporaryDirectory()
      const port = await freePort()
      const trigger = await freePort()
      const config = join(directory, 'sluice.config.mjs')
      const front = frontend(port, tls, hello)
      writeFileSync(config, configuration(front, trigger, upstream.port, options))
      const started = startPinned(core, process.execPath, [
        main(baseline ? (options.baseline ?? '') : HERE),
        'run',
        '--engine',
        engine,
        '--workers',
        '1',
        '-c',
        config,
      ])
      const running = await runningPeer(started, port)
      return {
        ...running,
        block: () => touch(trigger),
        ...(hello ? { rejects: BLOCKED } : {}),
      }
    },
  }
}

/**
 * @param {number} port
 * @param {import('../lib/tls.mjs').Certificate} [tls]
 * @param {boolean} [hello]
 * @returns {string} the frontend's `bind`, and its rules on ClientHellos where it has any
 */
function frontend(port, tls, hello) {
  const bind = {
    address: `127.0.0.1:${port}`,
    backlog: 4096,
    ...(tls === undefined
      ? {}
      : {
          tls: {
            cert: tls.cert,
            key: tls.key,
            minVersion: 'TLSv1.3',
            ciphers: [SUITE],
            groups: ['x25519'],
          },
        }),
  }
  const rules = hello ? '\n      rules: { clientHello: [readHello] },' : ''
  return `bind: ${JSON.stringify(bind)},${rules}`
}

/**
 * The rule does what the other peers' rule does. The second frontend's rule
 * blocks the thread that runs the policy.
 * @param {string} front
 * @param {number} trigger
 * @param {number} upstream
 * @param {import('../lib/options.mjs').Options} options
 */
function configuration(front, trigger, upstream, { block, spin }) {
  const blocking = spin
    ? `for (const end = performance.now() + ${block * 1000}; performance.now() < end; );`
    : `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${block * 1000})`
  return `
function notFromTestNet(conn) {
  if (conn.src.startsWith('192.0.2.')) return { kind: 'reject' }
}
function readHello({ hello }) {
  if (
    hello.serverName === '${BLOCKED}' ||
    hello.alpn.includes('blocked') ||
    hello.ja4 === 't13d000000_000000000000_000000000000'
  ) {
    return { kind: 'reject' }
  }
}
function block() {
  ${blocking}
  return { kind: 'reject' }
}
export default {
  global: { workers: 1 },
  timeouts: { client: '1h', server: '1h', connect: '5s' },
  log: { level: 'error' },
  frontends: {
    front: {
      ${front}
      backend: 'back',
      rules: { connection: [notFromTestNet] },
      log: { sample: 0 },
    },
    trigger: {
      bind: '127.0.0.1:${trigger}',
      backend: 'back',
      rules: { connection: [block] },
      log: { sample: 0 },
    },
  },
  backends: { back: { servers: { a: '127.0.0.1:${upstream}' } } },
}
`
}

/**
 * Connects and leaves: the connection alone makes the rule run.
 * @param {number} port
 * @returns {Promise<void>}
 */
function touch(port) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('connect', () => resolve())
    socket.on('error', reject)
    socket.unref()
  })
}

/**
 * @param {string} checkout
 * @returns {string} with the commit, where git tells it
 */
function sluiceVersion(checkout) {
  const { version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8'))
  const git = spawnSync('git', ['-C', checkout, 'rev-parse', '--short', 'HEAD'], {
    encoding: 'utf8',
  })
  return git.status === 0 ? `sluice ${version} (${git.stdout.trim()})` : `sluice ${version}`
}
