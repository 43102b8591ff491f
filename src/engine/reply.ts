/** Replies are bounded on every engine: they are kept whole until they have been sent. */

import { SluiceError } from '../base/errors.js'
import { Layout } from '../wire/wire.js'

/** Most bytes of a reply. */
export const MOST_REPLY = Layout.COMMAND_SLAB_BYTES / 2

/** @throws SluiceError (ERR_SLUICE_ARGUMENT) for a last chunk that is too long. */
export function checkReply(bytes: Uint8Array): void {
  if (bytes.length <= MOST_REPLY) return
  const message = `a reply of ${bytes.length} bytes is too long: at most ${MOST_REPLY}`
  throw new SluiceError('ERR_SLUICE_ARGUMENT', message)
}
