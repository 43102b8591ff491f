/** The first minute: what `npm start` runs, at a terminal, answering curl. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { folder, repository } from '../cli/spawn.js'
import { needs, runProgram } from '../interop/support/programs.js'
import { until } from '../interop/support/sluice.js'
import { engineKinds } from '../support/engines.js'

needs('curl', 'script')

const { scripts } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>
}
/** What the script runs once everything is built. */
const command = scripts.start?.split(' && ').at(-1) ?? ''

test('npm start runs the quickstart of this repository', () => {
  const parts = [
    'node crates/addon/build.mjs --announce',
    'npm run build',
    'node dist/cli/main.js run -c examples/quickstart/sluice.config.ts',
  ]
  assert.equal(scripts.start, parts.join(' && '))
})

for (const kind of engineKinds) {
  test(`at a terminal: addresses, a curl line, and a live line (${kind})`, {
    timeout: 60_000,
  }, async () => {
    const file = 'examples/quickstart/sluice.config.ts'
    const quickstart = readFileSync(join(repository, file), 'utf8')
    assert.match(quickstart, /bind: '127\.0\.0\.1:8080'/)
    const onAnyPort = quickstart.replace("bind: '127.0.0.1:8080'", "bind: '127.0.0.1:0'")
    const { path, remove } = folder({ 'sluice.config.ts': onAnyPort })
    const line = `${command.replace(file, join(path, 'sluice.config.ts'))} --engine ${kind}`
    // script(1) gives it a terminal.
    const child = spawn('script', ['-qefc', `exec ${line}`, '/dev/null'], {
      cwd: repository,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const exited = once(child, 'exit')
    let screen = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen += text
    })
    try {
      const shows = (pattern: RegExp) =>
        until(
          () => pattern.test(screen),
          () => `the screen shows ${JSON.stringify(screen)}`,
        )
      await shows(/try: curl http:\/\/127\.0\.0\.1:8080\/\r?\n/)
      const port = /web listens on 127\.0\.0\.1:(\d+) > app/.exec(screen)?.[1]
      const { code, stdout, stderr } = await runProgram('curl', [
        '-sS',
        `http://127.0.0.1:${port}/`,
      ])
      assert.equal(code, 0, stderr)
      assert.equal(stdout, 'Hello 127.0.0.1, this is server a.\n')
      await shows(/\d+ open {2}[\d.]+ conn\/s {2}in .*B\/s {2}out .*B\/s/)
      await shows(/ended 1 \w+\/data\/done/)
      // Control-C at the terminal.
      child.stdin.write('\x03')
      const [exitCode] = (await exited) as [number | null]
      assert.equal(exitCode, 0, screen)
      assert.match(screen, /SIGINT: stopping/)
    } finally {
      child.kill('SIGKILL')
      remove()
    }
  })
}
