/** `sluice --version`. */

import { readFileSync } from 'node:fs'
import { pino } from 'pino'
import { selectEngine } from '../engine/select.js'
import { WIRE_VERSION } from '../wire/wire.js'

/** Version of the package. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** Version, engines that load, and the contract between engine and policy. */
export async function versionText(): Promise<string> {
  return [
    `sluice  ${packageVersion()}`,
    `engines ${await engines()}`,
    `wire    ${WIRE_VERSION}`,
    `node    ${process.version} ${process.platform}-${process.arch}`,
  ].join('\n')
}

async function engines(): Promise<string> {
  try {
    // Loading is the only proof. The engine is not started: it has no threads yet.
    const engine = await selectEngine(
      'native',
      { workers: 1, slots: 64 },
      pino({ level: 'silent' }),
    )
    await engine.stop()
    return 'native, js'
  } catch (error) {
    const [why] = (error instanceof Error ? error.message : String(error)).split('\n')
    return `js (native does not load: ${why})`
  }
}
