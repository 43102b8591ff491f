/** What is wrong with a configuration, as lines. */

import assert from 'node:assert/strict'
import { ConfigError } from '#sluice/base/errors.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { Config } from '#sluice/config/types.js'

/** 'path: message [suggestion]' of each mistake; none where there is none. */
export function issues(config: unknown, env: NodeJS.ProcessEnv = {}): string[] {
  try {
    resolveConfig(config as Config, { env })
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    assert.equal(error.code, 'ERR_SLUICE_CONFIG')
    return error.issues.map(
      ({ path, message, suggestion }) =>
        `${path}: ${message}${suggestion === undefined ? '' : ` [${suggestion}]`}`,
    )
  }
  return []
}
