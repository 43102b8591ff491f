/** What a configuration may import from this package: the very copy that runs. */

import * as sluice from '../index.js'
import * as policy from '../policy.js'
import * as testing from '../testing/index.js'

export const modules: Record<string, unknown> = {
  sluice,
  'sluice/policy': policy,
  'sluice/testing': testing,
}
