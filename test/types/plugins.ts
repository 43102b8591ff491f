/** Plugins know their options, and `use` takes what they make. */

import { z } from 'zod'
import { defineConfig } from '#sluice/index.js'
import { rateLimit } from '#sluice/plugins/rate-limit.js'
import { definePlugin, type Plugin, type PluginFactory, useBackend } from '#sluice/policy.js'
import { equal } from './equal.js'

const limit = definePlugin<{ limit: number; window?: string }>({
  name: 'limit',
  setup(options, context) {
    equal<typeof options, { limit: number; window?: string }>(true)
    equal<typeof context.frontend, string | undefined>(true)
    return { rules: { connection: [(conn) => void conn.src.length] } }
  },
})
equal<typeof limit, PluginFactory<{ limit: number; window?: string }>>(true)
equal<ReturnType<typeof limit>, Plugin>(true)
limit({ limit: 1 }, { order: 'after', name: 'x' })
// @ts-expect-error: options are needed
limit()
// @ts-expect-error: an option is missing
limit({})
// @ts-expect-error: an option that is not there
limit({ limit: 1, wndow: '10s' })
// @ts-expect-error: no such order
limit({ limit: 1 }, { order: 'behind' })

const plain = definePlugin({ name: 'plain', setup: () => ({}) })
plain()
plain({}, { name: 'other' })

const optional = definePlugin<{ limit?: number }>({ name: 'optional', setup: () => ({}) })
optional()

const checked = definePlugin({
  name: 'checked',
  options: z.strictObject({ limit: z.number(), by: z.enum(['src', 'peer']).default('src') }),
  setup(options) {
    equal<typeof options, { limit: number; by: 'src' | 'peer' }>(true)
    return {}
  },
})
checked({ limit: 1 })
// @ts-expect-error: not what the schema takes
checked({ limit: '1' })

const made = definePlugin<{ limit: string }, number>({
  name: 'made',
  options: ({ limit }, wrong) => {
    if (limit === '') wrong(['limit'], 'is empty.')
    return limit.length
  },
  setup: (length) => ({ tables: { seen: { key: 'ip', size: length } } }),
})
made({ limit: 'a' })

definePlugin({
  name: 'wrong',
  // @ts-expect-error: parts that are not there
  setup: () => ({ rules: { conection: [] } }),
})
definePlugin({
  name: 'late',
  // @ts-expect-error: setup answers at once
  setup: async () => ({}),
})

export const config = defineConfig({
  plugins: [plain()],
  frontends: {
    web: {
      bind: '127.0.0.1:0',
      backend: 'app',
      use: [limit({ limit: 1 }), rateLimit({ limit: 1, window: '10s', by: (conn) => conn.src })],
      rules: { session: [useBackend('app')] },
    },
  },
  backends: { app: { servers: { a: '127.0.0.1:1' } } },
})
equal<keyof typeof config.backends, 'app'>(true)

// @ts-expect-error: a duration has a unit
rateLimit({ limit: 1, window: '10' })

defineConfig({
  // @ts-expect-error: what makes a plugin is none
  plugins: [plain],
  frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
  backends: { app: { servers: { a: '127.0.0.1:1' } } },
})
