// The newer Node versions that are supported: the js engine, which is made of Node's
// own sockets and TLS, and the native engine's way into the process. The versions come
// from the npm package 'node', which brings the binary.
//
//   node test/tools/other-nodes.mjs [version]...      22 and 24 unless told

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const runner = fileURLToPath(new URL('run-tests.mjs', import.meta.url))

/** Engine and parts of paths. */
const runs = [
  ['js', ['conformance/', 'proxy/', 'config/load', 'testing/']],
  ['native', ['boundary/', 'e2e/quickstart', 'proxy/lifecycle']],
]

const given = process.argv.slice(2)
const failed = []
for (const version of given.length > 0 ? given : ['22', '24']) {
  for (const [engine, parts] of runs) {
    console.log(`\nNode ${version}, ${engine} engine: ${parts.join(', ')}`)
    const { status, error } = spawnSync(
      'npm',
      ['exec', '--yes', `--package=node@${version}`, '--', 'node', runner, ...parts],
      { cwd: root, stdio: 'inherit', env: { ...process.env, SLUICE_TEST_ENGINES: engine } },
    )
    if (error) throw error
    if (status !== 0) failed.push(`Node ${version}, ${engine}`)
  }
}
if (failed.length > 0) {
  console.error(`\nFailed on other versions of Node: ${failed.join('; ')}`)
  process.exit(1)
}
