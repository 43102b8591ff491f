/** Sluice on the Rust engine, with a rule that reads every ClientHello. */

import { sluice } from './sluice.mjs'

export const peer = sluice('native', { hello: true })
