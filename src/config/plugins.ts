/**
 * Plugins of a configuration: options checked, set up, and what they bring put to the rest, once
 * for each use. Their rules are rules, their tables tables, like all others.
 */

import { type Logger, pino } from 'pino'
import { type Clock, systemClock } from '../base/clock.js'
import { suggest } from '../base/suggest.js'
import { show } from '../base/units.js'
import type { LogOptions } from '../log/logger.js'
import { pluginParts } from '../options/plugin.js'
import { log as logSection } from '../options/process.js'
import type { Checked } from '../options/section.js'
import type { Config, FrontendConfig, PluginParts } from '../options/written.js'
import { MetricRegistry } from '../policy/metrics.js'
import type { OptionsCheck, Plugin, PluginInside, WrongOption } from '../policy/plugin.js'
import type { Rule } from '../policy/rule.js'
import type { RuleList } from '../policy/rule-lists.js'
import { useBackend } from '../policy/verdicts.js'
import { checkShape, formatPath, type Issues, type Path } from './issues.js'
import { checkNames, isName, NAME } from './names.js'
import type { PlacedRule, ResolvedPlugin } from './resolved.js'

/** What plugins get from the proxy that they are for. */
export interface PluginHost {
  clock: Clock
  /** Asked once, where there are plugins. */
  logger(options: LogOptions): Logger
}

/** For a configuration that is checked only. */
const NOBODY: PluginHost = { clock: systemClock, logger: () => pino({ level: 'silent' }) }

/** Where a plugin is used. */
interface Use {
  readonly plugin: PluginInside
  readonly path: Path
  readonly frontend: string | undefined
  readonly name: string
}

type Parts = Checked<PluginParts>

export class Plugins {
  /** In the order in which they start. */
  readonly resolved: ResolvedPlugin[] = []
  readonly #parts: { use: Use; parts: Parts }[] = []
  readonly #issues: Issues
  /** Backends that they were set up to choose. */
  readonly #chosen: { path: Path; backend: string }[] = []

  /** Sets up every plugin of the configuration. What is wrong is in `issues`. */
  constructor(config: Checked<Config>, issues: Issues, host: PluginHost = NOBODY) {
    this.#issues = issues
    const uses = usesOf(config, issues)
    if (uses.length === 0) return
    const logger = host.logger(logSection.resolve(config.log ?? {}))
    for (const use of uses) this.#setUp(use, logger, host.clock)
  }

  /** Where nothing comes of the configuration. */
  giveUp(): void {
    for (const plugin of this.resolved) plugin.end()
  }

  /** A section with what plugins bring to it as 'PLUGIN.NAME'. */
  added<K extends 'tables' | 'backends'>(config: Checked<Config>, section: K): Checked<Config>[K] {
    const own = config[section]
    const brought = this.#parts.flatMap(({ use, parts }) => {
      const below = this.#issues.below(use.path)
      checkNames(below, [section], Object.keys(parts[section] ?? {}))
      return Object.entries(parts[section] ?? {}).flatMap(([key, value]) => {
        const name = `${use.name}.${key}`
        if (value === undefined) return []
        if (!own || !Object.hasOwn(own, name)) return [[name, value] as const]
        below.add([section, key], `is '${name}', and the configuration has one of this name.`)
        return []
      })
    })
    // A section that is wrong as a whole has names that nobody knows.
    if (brought.length === 0 || (!own && section in config)) return own
    return { ...own, ...Object.fromEntries(brought) } as Checked<Config>[K]
  }

  /** `backends`: the names that there are; undefined where nobody knows. */
  checkChosen(backends: readonly string[] | undefined): void {
    for (const { path, backend } of this.#chosen) {
      if (!backends || backends.includes(backend)) continue
      this.#issues.unknownName(path, 'backend', backend, backends)
    }
  }

  /** A list of a frontend with the rules of its plugins around it, those that were right. */
  around(frontend: string, list: RuleList, own: readonly PlacedRule[]): PlacedRule[] {
    const mine = this.#parts.filter(
      ({ use }) => use.frontend === undefined || use.frontend === frontend,
    )
    const before = mine.filter(({ use }) => use.plugin.use.order !== 'after')
    // Those of all frontends are outermost on either side.
    const behind = mine.filter((one) => !before.includes(one))
    const isOwn = ({ use }: { use: Use }) => use.frontend !== undefined
    const after = [...behind.filter(isOwn), ...behind.filter((one) => !isOwn(one))]
    const rulesOf = ({ use, parts }: { use: Use; parts: Parts }) =>
      placed(parts.rules, list, use.path, use.name)
    return [...before.flatMap(rulesOf), ...own, ...after.flatMap(rulesOf)]
  }

  /** Plugins in a frontend's own `use` that have such rules: the paths of these. */
  pathsOf(frontend: string, list: RuleList): Path[] {
    return this.#parts
      .filter(({ use, parts }) => use.frontend === frontend && parts.rules?.[list]?.length)
      .map(({ use }) => [...use.path, 'rules', list])
  }

  #setUp(use: Use, logger: Logger, clock: Clock): void {
    const { plugin, path, name, frontend } = use
    const before = this.#issues.list.length
    const options = checkOptions(plugin, this.#issues.below(path))
    if (this.#issues.list.length > before) return
    const log = logger.child({ plugin: name })
    const metrics = new MetricRegistry(plugin.name, (metric) =>
      log.warn({ metric }, `the metric ${metric} has too many labels: the rest counts as 'other'`),
    )
    const controller = new AbortController()
    const { signal } = controller
    const choose = (backend: string) => {
      this.#chosen.push({ path, backend })
      return useBackend(backend)
    }
    const context = { name, frontend, metrics, log, clock, signal, useBackend: choose }
    let given: unknown
    try {
      given = plugin.setup(options, context)
    } catch (error) {
      controller.abort()
      this.#issues.add(path, `plugin '${plugin.name}' cannot be set up: ${messageOf(error)}`)
      return
    }
    const parts = partsOf(plugin, given, this.#issues.below(path))
    this.#parts.push({ use, parts })
    this.resolved.push({
      name,
      path: formatPath(path),
      // Called as methods, so that the parts may be an object with state.
      start: () => parts.start?.(),
      stop: () => parts.stop?.(),
      signal,
      end: (reason) => controller.abort(reason),
      stats: () => metrics.stats(),
    })
  }
}

/** The rules of one list that were right, with their places. */
export function placed(
  rules: Checked<NonNullable<FrontendConfig['rules']>> | undefined,
  list: RuleList,
  base: Path,
  plugin?: string,
): PlacedRule[] {
  // What was wrong in a list is undefined now.
  const written: readonly (Rule<never> | undefined)[] = rules?.[list] ?? []
  return written.flatMap((rule, i) =>
    rule === undefined
      ? []
      : { rule, path: [...base, 'rules', list, i], ...(plugin !== undefined && { plugin }) },
  )
}

/** Plugins for all frontends first, then those of each, with a name for each use. */
function usesOf(config: Checked<Config>, issues: Issues): Use[] {
  const lists: [Path, string | undefined, readonly (Plugin | undefined)[]][] = [
    [['plugins'], undefined, config.plugins ?? []],
    ...Object.entries(config.frontends ?? {}).map(
      ([name, frontend]): [Path, string, readonly (Plugin | undefined)[]] => [
        ['frontends', name, 'use'],
        name,
        frontend?.use ?? [],
      ],
    ),
  ]
  const written = lists.flatMap(([path, frontend, plugins]) =>
    plugins.flatMap((plugin, i) =>
      // The shape check has looked at what is in it.
      plugin ? { plugin: plugin as PluginInside, frontend, path: [...path, i] } : [],
    ),
  )
  const taken = new Map<string, Path>()
  // Names that were given are kept, wherever they stand.
  for (const { plugin, path } of written) checkUse(plugin, issues.below(path), path, taken)
  return written.map(({ plugin, frontend, path }) => {
    const name = plugin.use.name ?? freeName(plugin.name, frontend, taken)
    taken.set(name, path)
    return { plugin, frontend, path, name }
  })
}

/** 'rate-limit', or 'rate-limit:web' where there is one already, or 'rate-limit:web:2'. */
function freeName(
  plugin: string,
  frontend: string | undefined,
  taken: ReadonlyMap<string, Path>,
): string {
  if (!taken.has(plugin)) return plugin
  const base = frontend === undefined ? plugin : `${plugin}:${frontend}`
  let name = base
  for (let n = 2; taken.has(name); n++) name = `${base}:${n}`
  return name
}

/** How a plugin is used: what its factory was given behind the options. */
function checkUse(
  { use, name }: PluginInside,
  issues: Issues,
  path: Path,
  taken: Map<string, Path>,
) {
  const { name: own, order } = use
  const known = ['name', 'order']
  for (const key of Object.keys(use).filter((key) => !known.includes(key))) {
    issues.add([], `${show(key)} is no way to use plugin '${name}'.`, suggest(key, known))
  }
  if (order !== 'before' && order !== 'after') {
    issues.add([], `expected order 'before' or 'after', got ${show(order)}.`)
  }
  if (own === undefined) return
  const before = issues.list.length
  if (!isName(own)) issues.add([], `name: expected ${NAME}, got ${show(own)}.`)
  const other = taken.get(own)
  if (other) issues.add([], `'${own}' is the name of ${formatPath(other)} too.`)
  if (issues.list.length === before) taken.set(own, path)
}

/** What `setup` gets; where something is wrong, that is told. */
function checkOptions({ check, options, name }: PluginInside, issues: Issues): unknown {
  if (check === undefined) return options
  try {
    return typeof check === 'function'
      ? check(options, (path, message, suggestion) => issues.add(path, message, suggestion))
      : bySchema(check, options, issues)
  } catch (error) {
    issues.add([], `options of plugin '${name}': ${messageOf(error)}`)
    return undefined
  }
}

type Schema = Exclude<OptionsCheck<unknown, unknown>, WrongOption | ((...args: never) => unknown)>

function bySchema(schema: Schema, options: unknown, issues: Issues): unknown {
  const result = schema['~standard'].validate(options)
  if ('then' in result) throw new TypeError('a schema with asynchronous checks cannot be used.')
  if (!result.issues) return result.value
  // Of zod's we know more: the keys that there are, and which branch of a union was meant.
  if ('_zod' in schema) {
    checkShape(schema as unknown as Parameters<typeof checkShape>[0], options, issues)
    return undefined
  }
  for (const { path = [], message } of result.issues) {
    const keys = path.map((step) => (typeof step === 'object' ? step.key : step))
    issues.add(
      keys.filter((key) => typeof key !== 'symbol'),
      message,
    )
  }
  return undefined
}

function partsOf({ name }: PluginInside, given: unknown, issues: Issues): Parts {
  if (typeof given === 'object' && given !== null) {
    if (!('then' in given)) return (checkShape(pluginParts.schema, given, issues) ?? {}) as Parts
    // It is not waited for; what it is rejected with belongs to nobody.
    Promise.resolve(given).catch(() => {})
  }
  const got = given instanceof Promise ? 'a promise' : show(given)
  const hint = given instanceof Promise ? " What takes time is for 'start'." : ''
  issues.add(
    [],
    `expected what setup of plugin '${name}' gives: { rules, ... }, got ${got}.${hint}`,
  )
  return {}
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
