/**
 * What must not wait until the program is loaded, which takes a good part of a second.
 */

import { constants } from 'node:os'

// It opens Node's debugger for everybody on the machine, unless somebody listens to it.
process.on('SIGUSR1', () => {})

// The first process of a container has no action by default: its stop would not be heard.
if (process.pid === 1) {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]))
  }
}
