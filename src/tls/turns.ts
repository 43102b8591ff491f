/** Certificates in their thousands take seconds of CPU, which connections must not wait for. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { SluiceError } from '../base/errors.js'

/**
 * Lets the loop do everything else that is due: behind each certificate that was parsed, and
 * each context that was made. Throws ERR_SLUICE_STATE where it should not go on.
 */
export async function giveTurn(stopped: () => boolean): Promise<void> {
  await nextTurn()
  if (stopped()) throw new SluiceError('ERR_SLUICE_STATE', 'The proxy has stopped.')
}
