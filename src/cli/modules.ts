/** What a configuration may import from this package: the very copy that runs. */

import * as sluice from '../index.js'
import * as authorization from '../plugins/authorization.js'
import * as blocklist from '../plugins/blocklist.js'
import * as canary from '../plugins/canary.js'
import * as postgresRouter from '../plugins/postgres-router.js'
import * as protocolDetection from '../plugins/protocol-detection.js'
import * as rateLimit from '../plugins/rate-limit.js'
import * as policy from '../policy.js'
import * as testing from '../testing/index.js'

export const modules: Record<string, unknown> = {
  sluice,
  'sluice/policy': policy,
  'sluice/testing': testing,
  'sluice/plugins/authorization': authorization,
  'sluice/plugins/blocklist': blocklist,
  'sluice/plugins/canary': canary,
  'sluice/plugins/postgres-router': postgresRouter,
  'sluice/plugins/protocol-detection': protocolDetection,
  'sluice/plugins/rate-limit': rateLimit,
}
