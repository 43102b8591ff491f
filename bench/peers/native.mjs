/** Sluice on the Rust engine. */

import { sluice } from './sluice.mjs'

export const peer = sluice('native')
