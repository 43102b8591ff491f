/** What one event costs from the engine's thread to JavaScript, in the two ways there are. */

import { fileURLToPath } from 'node:url'
import { ADDON_MISSING, findAddon } from '../lib/addon.mjs'
import { startPinned } from '../lib/processes.mjs'

const CLIENT = fileURLToPath(new URL('../clients/boundary.mjs', import.meta.url))

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'boundary',
  title: 'Boundary',
  note: 'Events from an engine thread to a JavaScript function on the same core: through the ring with one doorbell a batch, and with one ThreadsafeFunction call each.',
  alone: true,
  metrics: [
    { key: 'ring', title: 'ring', unit: 'M events/s', better: 'higher', digits: 2, compare: false },
    {
      key: 'calls',
      title: 'calls',
      unit: 'M events/s',
      better: 'higher',
      digits: 2,
      compare: false,
    },
    {
      key: 'factor',
      title: 'ring / calls',
      unit: 'x',
      better: 'higher',
      digits: 1,
      compare: false,
    },
    {
      key: 'ringCpu',
      title: 'ring, CPU per event',
      unit: 'ns',
      better: 'lower',
      digits: 0,
      compare: false,
    },
    {
      key: 'callsCpu',
      title: 'calls, CPU per event',
      unit: 'ns',
      better: 'lower',
      digits: 0,
      compare: false,
    },
  ],
  async sample({ options, seconds }) {
    const addon = findAddon()
    if (addon === undefined) throw new Error(ADDON_MISSING)
    const args = [CLIENT, addon, String(seconds)]
    const client = startPinned(options.proxyCore, process.execPath, args)
    const output = await client.output(seconds * 10_000 + 20_000)
    const line = output.split('\n').find((text) => text.startsWith('{'))
    if (line === undefined) throw new Error(`no result: ${client.lastWords}`)
    const { ring, calls } = JSON.parse(line)
    return {
      values: {
        ring: ring.rate / 1e6,
        calls: calls.rate / 1e6,
        factor: ring.rate / calls.rate,
        ringCpu: ring.cpu,
        callsCpu: calls.cpu,
      },
      errors: [],
      raw: { ring, calls },
    }
  },
}
