/** Plugins in a configuration: options, names, what they bring, in which order, and what is wrong. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Config } from 'sluice'
import { accept, definePlugin, reject, track, useBackend } from 'sluice/policy'
import { z } from 'zod'
import { resolveConfig } from '#sluice/config/resolve.js'
import { issues } from '../support/issues.js'

type Frontend = Config['frontends'][string]

function config(frontend: Partial<Frontend>, rest: Partial<Config> = {}): Config {
  return {
    frontends: { web: { bind: '127.0.0.1:0', backend: 'app', ...frontend } },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
    ...rest,
  }
}

/** A plugin with one rule; `calls` has the options and the name of each set-up. */
function traced(name = 'traced', order?: 'before' | 'after') {
  const calls: [unknown, string, string | undefined][] = []
  const plugin = definePlugin<{ n?: number }>({
    name,
    ...(order && { order }),
    setup(options, context) {
      calls.push([options, context.name, context.frontend])
      return { rules: { connection: [function look() {}] } }
    },
  })
  return { plugin, calls }
}

/** Rules of the connection stage as 'PLUGIN path'. */
function order(config: Config, frontend = 0): string[] {
  const { rules } = resolveConfig(config).frontends[frontend] ?? assert.fail()
  return rules.connection.map(
    ({ path, plugin = 'own' }) => `${plugin} ${path.slice(0, -3).join('.')}[${path.at(-1)}]`,
  )
}

test('a plugin is set up once for each use, when the configuration is resolved', () => {
  const { plugin, calls } = traced()
  const use = [plugin({ n: 1 })]
  const written = config({ use })
  assert.deepEqual(calls, [])
  resolveConfig(written)
  assert.deepEqual(calls, [[{ n: 1 }, 'traced', 'web']])
  resolveConfig(written)
  assert.equal(calls.length, 2)
})

test('options may be left out where none is needed', () => {
  const { plugin, calls } = traced()
  resolveConfig(config({ use: [plugin()] }))
  assert.deepEqual(calls, [[{}, 'traced', 'web']])
})

test('rules of plugins run before those of the frontend, or behind them', () => {
  const all = traced('all').plugin
  const own = traced('of-web').plugin
  const after = traced('after', 'after').plugin
  const lateAll = traced('late-all', 'after').plugin
  const written = config(
    {
      use: [own(), after(), traced('forced').plugin({}, { order: 'after' })],
      rules: { connection: [accept(), reject()] },
    },
    { plugins: [lateAll(), all()] },
  )
  assert.deepEqual(order(written), [
    'all plugins.1[0]',
    'of-web frontends.web.use.0[0]',
    'own frontends.web[0]',
    'own frontends.web[1]',
    'after frontends.web.use.1[0]',
    'forced frontends.web.use.2[0]',
    'late-all plugins.0[0]',
  ])
  const forced = config({
    use: [after({}, { order: 'before' })],
    rules: { connection: [accept()] },
  })
  assert.deepEqual(order(forced), ['after frontends.web.use.0[0]', 'own frontends.web[0]'])
})

test('a plugin for all frontends is set up once, and its rules are in each', () => {
  const { plugin, calls } = traced()
  const written = config({}, { plugins: [plugin()] })
  written.frontends.other = { bind: '127.0.0.1:0', backend: 'app' }
  assert.deepEqual(order(written, 0), ['traced plugins.0[0]'])
  assert.deepEqual(order(written, 1), ['traced plugins.0[0]'])
  assert.deepEqual(calls[0], [{}, 'traced', undefined])
  assert.equal(calls.length, 2)
})

test('several uses of a plugin have names of their own, and may be given one', () => {
  const { plugin } = traced('limit')
  const shared = plugin()
  const written = config({ use: [plugin(), plugin({}, { name: 'limit:api' }), shared, plugin()] })
  written.frontends.api = { bind: '127.0.0.1:0', backend: 'app', use: [shared] }
  assert.deepEqual(
    resolveConfig(written).plugins.map(({ name, path }) => `${name} ${path}`),
    [
      'limit frontends.web.use[0]',
      'limit:api frontends.web.use[1]',
      'limit:web frontends.web.use[2]',
      'limit:web:2 frontends.web.use[3]',
      'limit:api:2 frontends.api.use[0]',
    ],
  )
  assert.deepEqual(
    issues(
      config({
        use: [
          plugin({}, { name: 'same' }),
          plugin({}, { name: 'same' }),
          plugin({}, { name: 'a b' }),
          plugin({}, { order: 'behind' as 'after' }),
          plugin({}, { nmae: 'x' } as object),
        ],
      }),
    ),
    [
      "frontends.web.use[1]: 'same' is the name of frontends.web.use[0] too.",
      "frontends.web.use[2]: name: expected a name of letters, digits, '_', '-', '.' and ':' only, that begins with a letter, digit or '_', got 'a b'.",
      "frontends.web.use[3]: expected order 'before' or 'after', got 'behind'.",
      "frontends.web.use[4]: 'nmae' is no way to use plugin 'limit'. [name]",
    ],
  )
})

test('tables and backends of a plugin are the configuration’s, by its name', () => {
  const plugin = definePlugin({
    name: 'trap',
    setup: (_options, { name }) => ({
      tables: { seen: { key: 'ip', size: 10, store: { gpc0: true } } },
      backends: { pit: { servers: { a: '127.0.0.1:9002' } } },
      rules: {
        connection: [track('sc0', (conn) => conn.src, `${name}.seen`), useBackend(`${name}.pit`)],
      },
    }),
  })
  const resolved = resolveConfig(config({ use: [plugin(), plugin()] }))
  assert.deepEqual(
    resolved.tables.map(({ name }) => name),
    ['trap.seen', 'trap:web.seen'],
  )
  assert.deepEqual(
    resolved.backends.map(({ name }) => name),
    ['app', 'trap.pit', 'trap:web.pit'],
  )
  assert.deepEqual(resolved.warnings, [])
  const taken = { tables: { 'trap.seen': { key: 'ip' as const, size: 1 } } }
  assert.deepEqual(issues(config({ use: [plugin()] }, taken)), [
    "frontends.web.use[0].tables.seen: is 'trap.seen', and the configuration has one of this name.",
  ])
})

test('options are checked by a schema, and told with their path', () => {
  const plugin = definePlugin({
    name: 'limit',
    options: z.strictObject({
      limit: z.number().int().positive(),
      by: z.enum(['src', 'peer']).default('src'),
      nested: z.strictObject({ names: z.array(z.string()) }).optional(),
    }),
    setup(options) {
      seen.push(options)
      return {}
    },
  })
  const seen: unknown[] = []
  resolveConfig(config({ use: [plugin({ limit: 3 })] }))
  assert.deepEqual(seen, [{ limit: 3, by: 'src' }])
  const wrong = { limti: 3, nested: { names: ['a', 1], more: true } } as never
  assert.deepEqual(issues(config({ use: [plugin(wrong)] })), [
    'frontends.web.use[0].nested.names[1]: expected a string, got 1.',
    'frontends.web.use[0].nested.more: is unknown.',
    'frontends.web.use[0].limti: is unknown. [limit]',
  ])
  assert.deepEqual(issues(config({}, { plugins: [plugin({ limit: 0.5 })] })).length, 1)
  assert.deepEqual(issues(config({ use: [plugin('all' as never)] })), [
    "frontends.web.use[0]: expected an object { limit, ... }, got 'all'.",
  ])
  assert.equal(seen.length, 1)
})

test('options are checked by a function, or by a schema of another library', () => {
  const byFunction = definePlugin<{ limit: number }, number>({
    name: 'limit',
    options({ limit }, wrong) {
      if (!(limit > 0)) wrong(['limit'], `expected more than 0, got ${limit}.`, '1')
      if (limit > 100) throw new RangeError('too much')
      return limit
    },
    setup: (limit) => ({ tables: { seen: { key: 'ip', size: limit } } }),
  })
  assert.equal(resolveConfig(config({ use: [byFunction({ limit: 7 })] })).tables[0]?.size, 7)
  assert.deepEqual(issues(config({ use: [byFunction({ limit: -1 })] })), [
    'frontends.web.use[0].limit: expected more than 0, got -1. [1]',
  ])
  assert.deepEqual(issues(config({ use: [byFunction({ limit: 101 })] })), [
    "frontends.web.use[0]: options of plugin 'limit': too much",
  ])
  const validate = (value: unknown) =>
    (value as { ok?: boolean }).ok
      ? { value: { size: 3 } }
      : { issues: [{ message: 'is not ok.', path: [{ key: 'list' }, 2] }] }
  const standard = definePlugin<{ ok: boolean }, { size: number }>({
    name: 'standard',
    options: { '~standard': { version: 1, vendor: 'test', validate } },
    setup: ({ size }) => ({ tables: { seen: { key: 'ip', size } } }),
  })
  assert.equal(resolveConfig(config({ use: [standard({ ok: true })] })).tables[0]?.size, 3)
  assert.deepEqual(issues(config({ use: [standard({ ok: false })] })), [
    'frontends.web.use[0].list[2]: is not ok.',
  ])
  const late = definePlugin({
    name: 'late',
    options: z.object({}).refine(async () => true),
    setup: () => ({}),
  })
  assert.match(
    issues(config({ use: [late()] })).join(),
    /^frontends\.web\.use\[0\]: options of plugin 'late': /,
  )
})

test('what a plugin does wrong is told with its name and path', () => {
  const thrower = definePlugin({
    name: 'thrower',
    setup() {
      throw new Error('no such file')
    },
  })
  const promises = definePlugin({ name: 'promises', setup: (async () => ({})) as never })
  const nothing = definePlugin({ name: 'nothing', setup: (() => {}) as never })
  const broken = definePlugin({
    name: 'broken',
    setup: () =>
      ({
        rules: { connection: [{ kind: 'rejct' }, reject], sesion: [] },
        tables: { seen: { key: 'ip' } },
        strat() {},
      }) as never,
  })
  const use = [
    thrower(),
    promises(),
    nothing(),
    broken(),
    thrower as never,
    { kind: 'x' } as never,
    { kind: 'plugin', setup() {} } as never,
  ]
  assert.deepEqual(issues(config({ use })), [
    'frontends.web.use[4]: expected a plugin, as a function of definePlugin makes it, got the function thrower itself. Call it: thrower().',
    'frontends.web.use[5]: expected a plugin, as a function of definePlugin makes it, got an object.',
    'frontends.web.use[6]: expected a plugin, as a function of definePlugin makes it, got an object.',
    "frontends.web.use[0]: plugin 'thrower' cannot be set up: no such file",
    "frontends.web.use[1]: expected what setup of plugin 'promises' gives: { rules, ... }, got a promise. What takes time is for 'start'.",
    "frontends.web.use[2]: expected what setup of plugin 'nothing' gives: { rules, ... }, got undefined.",
    "frontends.web.use[3].rules.connection[0]: expected a verdict, got an object whose kind is 'rejct'. [reject]",
    'frontends.web.use[3].rules.sesion: is unknown. [session]',
    'frontends.web.use[3].tables.seen.size: is required.',
    'frontends.web.use[3].strat: is unknown. [start]',
  ])
})

test('rules of plugins are checked as all rules are', () => {
  const plugin = definePlugin({
    name: 'wrong',
    setup: () => ({
      rules: { connection: [useBackend('ap')], secured: [function late() {}] },
    }),
  })
  assert.deepEqual(issues(config({ use: [plugin()] })), [
    "frontends.web.use[0].rules.connection[0]: there is no backend named 'ap'. [app]",
    "frontends.web.use[0].rules.secured: needs a bind with 'tls'.",
  ])
  const onTls = definePlugin({
    name: 'on-tls',
    setup: () => ({ rules: { secured: [function late() {}] } }),
  })
  assert.deepEqual(issues(config({}, { plugins: [onTls()] })), [])
})

test('a backend that a plugin is to choose is looked for', () => {
  const plugin = definePlugin<{ backend: string }>({
    name: 'choose',
    setup: ({ backend }, { useBackend }) => ({ rules: { session: [useBackend(backend)] } }),
  })
  const silent = definePlugin<{ backend: string }>({
    name: 'silent',
    setup({ backend }, context) {
      const chosen = context.useBackend(backend)
      return { rules: { session: [() => chosen] } }
    },
  })
  assert.deepEqual(issues(config({ use: [plugin({ backend: 'app' })] })), [])
  assert.deepEqual(issues(config({ use: [silent({ backend: 'ap' })] })), [
    "frontends.web.use[0]: there is no backend named 'ap'. [app]",
  ])
})

test('a frontend whose plugins may choose needs no backend of its own', () => {
  const { plugin } = traced()
  const { backend: _, ...frontend } = config({ use: [plugin()] }).frontends.web ?? assert.fail()
  const written = config({})
  assert.deepEqual(issues({ ...written, frontends: { web: frontend } }), [])
})

test('where nothing comes of the configuration the signals are aborted', () => {
  const signals: AbortSignal[] = []
  const plugin = definePlugin({
    name: 'watching',
    setup(_options, { signal }) {
      signals.push(signal)
      return {}
    },
  })
  resolveConfig(config({ use: [plugin()] }))
  assert.equal(issues(config({ backend: 'typo', use: [plugin()] })).length, 1)
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [false, true],
  )
})

test('a plugin has a name that metrics and logs can have', () => {
  for (const name of ['', 'Limit', '1a', 'a b', 7]) {
    assert.throws(
      () => definePlugin({ name: name as string, setup: () => ({}) }),
      /ERR_SLUICE_ARGUMENT|expected a plugin's name/,
    )
  }
  assert.throws(() => definePlugin({ name: 'a' } as never), /plugin 'a' needs a function 'setup'/)
})
