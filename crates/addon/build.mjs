// Builds the addon and puts it beside the compiled TypeScript. Without Rust,
// or with a failing build, it says so loudly and succeeds: Sluice then runs on
// the js engine. SLUICE_REQUIRE_ADDON=1 makes that an error (CI).

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
// For 'npm start': what is about to happen, before a silence of minutes.
if (process.argv.includes('--announce')) {
  const first = !existsSync(`${root}/target/release`)
  console.error(
    first
      ? 'sluice: building first: the TypeScript takes seconds, the native engine (Rust) two to five minutes, this once.'
      : 'sluice: building what has changed: seconds, or a minute or two where the Rust side did.',
  )
  process.exit(0)
}

const required = process.env.SLUICE_REQUIRE_ADDON === '1'

function giveUp(why, remedy) {
  console.error(`
sluice: THE NATIVE ENGINE WAS NOT BUILT: ${why}
sluice: everything works on the js engine, several times slower.
sluice: to fix it: ${remedy}
`)
  process.exit(required ? 1 : 0)
}

const cargo = spawnSync('cargo', ['--version'], { encoding: 'utf8' })
if (cargo.error || cargo.status !== 0) {
  giveUp(
    'cargo was not found',
    "install Rust 1.88 or newer (rustup.rs), then 'npm run build:addon'",
  )
}

mkdirSync(`${root}/dist/engine/native`, { recursive: true })
const napi = fileURLToPath(new URL('../../node_modules/.bin/napi', import.meta.url))
const build = spawnSync(
  napi,
  [
    'build',
    '--release',
    '--platform',
    '--manifest-path',
    'crates/addon/Cargo.toml',
    '--package-json-path',
    'package.json',
    '--output-dir',
    'dist/engine/native',
    '--js',
    'binding.cjs',
    '--dts',
    'binding.d.cts',
    '--no-const-enum',
  ],
  { cwd: root, stdio: 'inherit' },
)
if (build.error || build.status !== 0) {
  rmSync(`${root}/dist/engine/native/binding.cjs`, { force: true })
  giveUp('the build failed (see above)', "repair the toolchain, then 'npm run build:addon'")
}
