/** Plugins as a configuration uses them, and what they are set up with. */

import type { Logger } from 'pino'
import type { Clock } from '../base/clock.js'
import type { Metrics } from './metrics.js'
import type { Verdict } from './rule.js'

/** What a plugin is given when it is set up, once for each use. */
export interface PluginContext {
  /**
   * Name of this use: the plugin's, unless that is taken or another one was given. Its tables and
   * backends are `${name}.KEY`.
   */
  readonly name: string
  /** The frontend whose `use` it is in; undefined where it is for all of them. */
  readonly frontend: string | undefined
  readonly metrics: Metrics
  /** pino child logger with the name of this use. */
  readonly log: Logger
  /** The proxy's clock: virtual in tests. */
  readonly clock: Clock
  /**
   * As the verdict of this name. Called in `setup` it is also checked that there is such a
   * backend, so that a misspelt option is told at once.
   */
  useBackend(backend: string): Verdict
  /** Aborted when the proxy stops, or does not come to be. */
  readonly signal: AbortSignal
}

export interface PluginUse {
  /** In logs, stats and names of tables. Default: the plugin's name. */
  name?: string
  /** Whether its rules run before those of the frontend or behind them. Default: as the plugin says. */
  order?: 'before' | 'after'
}

/** Tells what is wrong in options: `path` is where, such as ['limits', 0]. */
export type WrongOption = (
  path: readonly (string | number)[],
  message: string,
  suggestion?: string,
) => void

/** A schema as zod, valibot and others make them (standardschema.dev). `W`: as written, `O`: what becomes of it. */
export interface OptionsSchema<W, O> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<O> | Promise<SchemaResult<O>>
    readonly types?: { readonly input: W; readonly output: O } | undefined
  }
}

/** What a schema says of a value. */
export type SchemaResult<O> =
  | { readonly value: O; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

/** What is wrong, and where. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/**
 * Checks options: a schema, or a function that tells what is wrong (or throws) and gives what
 * `setup` gets.
 */
export type OptionsCheck<W, O> = OptionsSchema<W, O> | ((written: W, wrong: WrongOption) => O)

/** A plugin with its options, for `use` and `plugins`. What is in it is for Sluice. */
export interface Plugin {
  readonly kind: 'plugin'
  readonly name: string
}

/** What is in a plugin. */
export interface PluginInside extends Plugin {
  readonly use: PluginUse
  /** As written. */
  readonly options: unknown
  readonly check: OptionsCheck<unknown, unknown> | undefined
  readonly setup: (options: unknown, context: PluginContext) => unknown
}
