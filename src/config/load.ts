/**
 * Finds and loads configuration files. TypeScript and JavaScript run through
 * jiti, so that no build step is needed; JSON is read strictly.
 */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { extname, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createJiti } from 'jiti'
import { SluiceError } from '../errors.js'
import { JsonSyntaxError, parseJson } from './json.js'
import type { Config } from './types.js'

/** Looked for in this order. */
export const configFiles = [
  'sluice.config.ts',
  'sluice.config.mts',
  'sluice.config.js',
  'sluice.config.mjs',
  'sluice.config.json',
] as const

export interface LoadOptions {
  /** Default: the current folder. */
  cwd?: string
  /**
   * Modules by the name under which a configuration imports them. The program
   * that loads gives its own 'sluice' and 'sluice/policy' here, so that there is
   * one copy of them wherever the configuration lives.
   */
  modules?: Record<string, unknown>
}

export interface LoadedConfig {
  /** As the file gave it; not checked. */
  config: Config
  /** Absolute path. */
  file: string
  /** The path as messages show it, relative to the folder. */
  displayName: string
  /** The named export `tryIt`: a command that shows the configuration at work. */
  tryIt: string | undefined
}

/** The configuration file of a folder. Throws a SluiceError (ERR_SLUICE_CONFIG_LOAD) where there is none. */
export function findConfig(cwd: string = process.cwd()): string {
  const found = configFiles.find((name) => existsSync(resolve(cwd, name)))
  if (found) return resolve(cwd, found)
  throw new SluiceError(
    'ERR_SLUICE_CONFIG_LOAD',
    `no ${configFiles[0]} (or .mts, .js, .mjs, .json) in ${cwd}. 'sluice init' writes one, '-c FILE' names another.`,
  )
}

/**
 * Loads `file`, or the one that `findConfig` finds. The default export may be
 * the configuration, a promise of it, or a function that returns either.
 * Throws a SluiceError (ERR_SLUICE_CONFIG_LOAD) with the file and the position.
 */
export async function loadConfig(file?: string, options: LoadOptions = {}): Promise<LoadedConfig> {
  const cwd = options.cwd ?? process.cwd()
  const path = file === undefined ? findConfig(cwd) : resolve(cwd, file)
  const displayName = shortName(path, cwd)
  if (!existsSync(path)) throw loadError(`${displayName}: no such file.`)
  const { config, tryIt } =
    extname(path) === '.json'
      ? { config: await loadJson(path, displayName), tryIt: undefined }
      : await loadModule(path, displayName, options.modules ?? {})
  return { config: config as Config, file: path, displayName, tryIt }
}

async function loadJson(path: string, name: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw loadError(`${name}: ${messageOf(error)}`, error)
  }
  try {
    return parseJson(text)
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw loadError(`${name}: ${messageOf(error)}`, error)
    const byte = Buffer.byteLength(text.slice(0, error.offset))
    throw loadError(
      `${name}:${error.line}:${error.column}: ${error.message} (byte ${byte}).`,
      error,
    )
  }
}

async function loadModule(
  path: string,
  name: string,
  modules: Record<string, unknown>,
): Promise<{ config: unknown; tryIt: string | undefined }> {
  // No cache on disk: it would be a file in a shared folder that we then run. No
  // interop proxies: policies call imported functions on every connection.
  const jiti = createJiti(import.meta.url, {
    fsCache: false,
    moduleCache: false,
    interopDefault: false,
    virtualModules: modules,
  })
  let exported: unknown
  let tryIt: string | undefined
  try {
    const module = await jiti.import<object>(path)
    if (!('default' in module)) {
      throw loadError(
        `${name}: has no default export; write 'export default defineConfig({ ... })'.`,
      )
    }
    if ('tryIt' in module && typeof module.tryIt === 'string') tryIt = module.tryIt
    exported = await module.default
    if (typeof exported === 'function') exported = await exported()
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'ERR_SLUICE_CONFIG_LOAD') throw error
    throw describeFailure(path, name, error)
  }
  if (typeof exported === 'object' && exported !== null) return { config: exported, tryIt }
  throw loadError(`${name}: the default export is ${String(exported)}, not a configuration.`)
}

/** Adds the position: from the message of a syntax error, or from the stack of one that was thrown. */
function describeFailure(path: string, name: string, error: unknown): SluiceError {
  const message = messageOf(error)
  const parse = /^(?:Parse|Syntax)Error:\s*(.*?)\s*\n\s*(.+?):(\d+):(\d+)/s.exec(message)
  if (parse) {
    const [, what = '', file = '', line, column] = parse
    const where = plainPath(file) === path ? name : file
    // Babel counts columns from 0.
    return loadError(`${where}:${line}:${Number(column) + 1}: ${what}.`, error)
  }
  const line = lineInStack(path, error)
  const [first = ''] = message.split('\n')
  return loadError(`${name}${line === undefined ? '' : `:${line}`}: ${first}`, error)
}

/** Line of the first stack frame in `path`. Columns are left out: transpiling moves them. */
function lineInStack(path: string, error: unknown): string | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  for (const frame of stack.split('\n')) {
    const match = /(?:at |\()((?:file:\/\/)?\/[^()]*?|[A-Za-z]:[^()]*?):(\d+):\d+\)?$/.exec(frame)
    if (match && plainPath(match[1] as string) === path) return match[2]
  }
  return undefined
}

function plainPath(text: string): string {
  const bare = text.replace(/^async /, '')
  return bare.startsWith('file:') ? fileURLToPath(bare) : bare
}

function shortName(path: string, cwd: string): string {
  const short = relative(cwd, path)
  return short.startsWith('..') ? path : short
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function loadError(message: string, cause?: unknown): SluiceError {
  return new SluiceError(
    'ERR_SLUICE_CONFIG_LOAD',
    message,
    cause === undefined ? undefined : { cause },
  )
}
