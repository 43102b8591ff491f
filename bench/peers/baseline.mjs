/** Another checkout of Sluice on the Rust engine: what a change did, in one run. */

import { sluice } from './sluice.mjs'

export const peer = sluice('native', { baseline: true })
