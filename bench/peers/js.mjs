/** Sluice on `node:net`. */

import { sluice } from './sluice.mjs'

export const peer = sluice('js')
