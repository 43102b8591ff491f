/** The engines that the conformance suite and the end-to-end tests run on. */

import type { Engine, EngineKind } from '#sluice/engine/engine.js'

const all: readonly EngineKind[] = ['js', 'native']

/** Both, unless SLUICE_TEST_ENGINES narrows it: 'js', 'native' or 'js,native'. */
export const engineKinds: readonly EngineKind[] = narrow(process.env.SLUICE_TEST_ENGINES)

function narrow(wanted: string | undefined): readonly EngineKind[] {
  if (!wanted) return all
  const names = wanted.split(',').map((name) => name.trim())
  const kinds = all.filter((kind) => names.includes(kind))
  if (kinds.length !== names.length) {
    throw new Error(`SLUICE_TEST_ENGINES=${wanted}: choose from ${all.join(', ')}`)
  }
  return kinds
}

/** Threads of the native engine where a test does not say: SLUICE_TEST_WORKERS, or one. */
const defaultWorkers = Number(process.env.SLUICE_TEST_WORKERS ?? 1)

/** @param options slots: connections at once, both sides count. workers: threads of the native engine. */
export async function createEngine(
  kind: EngineKind,
  options: { slots?: number; workers?: number; busyPoll?: boolean; lead?: boolean } = {},
): Promise<Engine> {
  const { slots = 1024, workers = defaultWorkers } = options
  // The tests of the boundary run programs with it.
  const doorbell = process.env.SLUICE_DOORBELL
  const { busyPoll = doorbell === 'poll', lead = doorbell === 'lead' } = options
  if (kind === 'js') {
    const { createJsEngine } = await import('#sluice/engine/js/engine.js')
    return createJsEngine({ slots })
  }
  const { createNativeEngine } = await import('#sluice/engine/native/engine.js')
  return createNativeEngine({ slots, workers, busyPoll, lead })
}
