/** Sluice on `node:tls`, with a rule that reads every ClientHello. */

import { sluice } from './sluice.mjs'

export const peer = sluice('js', { hello: true })
