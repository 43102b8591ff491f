/** Where the built addon is. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const DIST = fileURLToPath(new URL('../../dist', import.meta.url))
const PLACES = ['native', 'engine/native', '.']

export const ADDON_MISSING = `no addon below ${DIST}: npm run build:addon (Rust: apt-get install -y rustc cargo, or https://rustup.rs)`

/** @returns {string | undefined} path of the loader, or of the library itself where there is none */
export function findAddon() {
  for (const place of PLACES) {
    const directory = join(DIST, place)
    let names
    try {
      names = readdirSync(directory)
    } catch {
      continue
    }
    const name =
      names.find((name) => name === 'binding.cjs') ?? names.find((name) => name.endsWith('.node'))
    if (name !== undefined) return join(directory, name)
  }
  return undefined
}
