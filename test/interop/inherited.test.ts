/** Listening sockets that somebody else opened: systemd's socket activation. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { engineKinds } from '../support/engines.js'
import { Daemon } from './support/daemon.js'
import { HELLO, type Nginx, startNginx } from './support/nginx.js'
import { needs, runProgram } from './support/programs.js'

needs('systemd-socket-activate', 'curl')

const cli = fileURLToPath(import.meta.resolve('#sluice/cli/main.js'))
const config = fileURLToPath(new URL('inherited-config.js', import.meta.url))

let nginx: Nginx
let directory: string

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-inherited-'))
  nginx = await startNginx()
})

after(async () => {
  await nginx?.stop()
  rmSync(directory, { recursive: true, force: true })
})

for (const kind of engineKinds) {
  for (const bind of ['systemd', 'systemd@web', 'fd@3']) {
    test(`systemd-socket-activate, bind '${bind}' (${kind})`, { timeout: 60_000 }, async () => {
      const socket = join(directory, `${kind}-${bind}.sock`)
      const daemon = await Daemon.start({
        program: 'systemd-socket-activate',
        prepare({ ports: [port] }) {
          const env = { SLUICE_TEST_BIND: bind, SLUICE_TEST_SERVER: `127.0.0.1:${nginx.port}` }
          return {
            args: [
              ...['-l', `127.0.0.1:${port}`, '-l', socket, '--fdname', 'web:local'],
              ...Object.entries(env).flatMap(([name, value]) => ['-E', `${name}=${value}`]),
              ...[process.execPath, cli, 'run', '-c', config, '--engine', kind],
            ],
            // The first connection starts the program, which then accepts it.
            ready: [{ port: port as number }],
          }
        },
      })
      try {
        const at = `http://127.0.0.1:${daemon.port}/hello`
        const { stdout, stderr } = await runProgram('curl', ['-sS', at])
        assert.equal(stdout, HELLO, `${stderr}${daemon.output}`)
        const listens = daemon.output.split('\n').filter((line) => line.includes('listens on'))
        assert.equal(listens.length, bind === 'systemd' ? 2 : 1, daemon.output)
        if (bind === 'systemd') {
          const args = ['-sS', '--unix-socket', socket, 'http://sluice/hello']
          assert.equal((await runProgram('curl', args)).stdout, HELLO)
        }
      } finally {
        await daemon.stop()
      }
    })
  }
}

test('sockets that are meant for another process are not taken', async () => {
  const env = { SLUICE_TEST_BIND: 'systemd', SLUICE_TEST_SERVER: '127.0.0.1:1' }
  const child = spawn(process.execPath, [cli, 'run', '-c', config], {
    env: { ...process.env, ...env, LISTEN_FDS: '1', LISTEN_PID: '1' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const code = (await once(child, 'close'))[0]
  assert.equal(code, 1, stderr)
  assert.match(stderr, /frontends\.web\.bind/)
})
