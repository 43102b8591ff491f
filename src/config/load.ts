/**
 * Finds and loads configuration files. TypeScript and JavaScript run through
 * jiti, so that no build step is needed; JSON is read strictly.
 */

import { existsSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { extname, relative, resolve } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createJiti } from 'jiti'
import { ConfigError, SluiceError } from '../base/errors.js'
import { show } from '../base/units.js'
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

/** Endings of files that can be loaded. */
const LOADABLE = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs', '.json']

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
  if (statSync(path).isDirectory())
    throw loadError(`${displayName}: is a folder; name the file in it.`)
  if (!LOADABLE.includes(extname(path))) {
    const names = `${LOADABLE.slice(0, -1).join(', ')} or ${LOADABLE.at(-1)}`
    throw loadError(
      `${displayName}: a configuration is TypeScript, JavaScript or JSON, in a file that ends in ${names}.`,
    )
  }
  const { config, tryIt } =
    extname(path) === '.json'
      ? { config: await loadJson(path, displayName), tryIt: undefined }
      : await orIdle(
          displayName,
          orRejected(path, displayName, loadModule(path, displayName, options.modules ?? {})),
        )
  return { config: config as Config, file: path, displayName, tryIt }
}

/**
 * `loading`, or an error once nothing is left in this process that could go on with it: Node
 * would end without a word.
 */
async function orIdle<T>(name: string, loading: Promise<T>): Promise<T> {
  let stop = () => {}
  const idle = new Promise<never>((_, reject) => {
    const ends = () => reject(loadError(`${name}: waits for a promise that nothing resolves.`))
    process.once('beforeExit', ends)
    stop = () => process.removeListener('beforeExit', ends)
  })
  return Promise.race([loading, idle]).finally(stop)
}

/**
 * `work`, or an error once a promise was rejected that nobody handles: Node would end with its
 * stack alone. `path` and `name`: of the configuration, whose promise it is.
 */
export async function orRejected<T>(path: string, name: string, work: Promise<T>): Promise<T> {
  let stop = () => {}
  const rejected = new Promise<never>((_, reject) => {
    const said = 'a promise was rejected and nobody handled it: '
    const tell = (reason: unknown) => reject(describeFailure(path, name, reason, said))
    process.on('unhandledRejection', tell)
    stop = () => process.removeListener('unhandledRejection', tell)
  })
  // Node tells of a rejection when the microtasks are through, and the work may be by then.
  const whole = work.finally(() => nextTurn())
  return Promise.race([whole, rejected]).finally(stop)
}

/**
 * What `work` on a configuration gives. Its errors are told with the file; so is what code of the
 * configuration throws while it is read (a getter, a Proxy), with its line.
 */
export function reading<T>(
  { file, displayName }: Pick<LoadedConfig, 'file' | 'displayName'>,
  work: () => T,
): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(error.issues, displayName)
    if (error instanceof SluiceError) throw error
    const { own, other } = placesInStack(file, error)
    // No frame of the configuration: that is our own mistake.
    throw own === undefined && other === undefined
      ? error
      : describeFailure(file, displayName, error)
  }
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
    const module = exportsOf(await jiti.import<object>(path), name)
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

/** The exports of a module; `module.exports` of CommonJS is its default, compiled modules are what they were. */
function exportsOf(module: object, name: string): { default: unknown; tryIt?: unknown } {
  if ('default' in module) {
    const inner = module.default
    const compiled = typeof inner === 'object' && inner !== null && '__esModule' in inner
    return compiled && 'default' in inner ? inner : module
  }
  if ('frontends' in module || 'backends' in module) return { default: module }
  const others = Object.keys(module)
    .filter((key) => key !== 'default' && key !== 'tryIt')
    .map(show)
  const there = others.length > 0 ? `, only ${others.join(', ')}` : ''
  throw loadError(
    `${name}: has no default export${there}; write 'export default defineConfig({ ... })'.`,
  )
}

/** Causes of an error that are told. */
const MAX_CAUSES = 5
/** Frames of this package are no place to look at. */
const OWN = fileURLToPath(new URL('../', import.meta.url))

/** Adds the position: from the message of a syntax error, or from the stack of one that was thrown. */
function describeFailure(path: string, name: string, error: unknown, said = ''): SluiceError {
  const message = messageOf(error)
  const parse = /^(?:Parse|Syntax)Error:\s*(.*?)\s*\n\s*(.+?):(\d+):(\d+)/s.exec(message)
  if (parse) {
    const [, what = '', file = '', line, column] = parse
    const where = plainPath(file) === path ? name : file
    // Babel counts columns from 0.
    return loadError(`${where}:${line}:${Number(column) + 1}: ${what}.`, error)
  }
  const { own, other } = placesInStack(path, error)
  const at = own === undefined ? name : `${name}:${own}`
  // As transpiled: '(0 , _policy.reject) is not a function'.
  const what = said + firstLine(message).replace(/\(0 ?, ?_\w+\.(\w+)\)/g, '$1')
  const causes = causesOf(error).map((cause) => `\n  caused by ${cause}`)
  const line = other === undefined ? `${at}: ${what}` : `${other}: ${what}\n  used by ${at}`
  return loadError(line + causes.join(''), error)
}

/** What made an error, outermost first: of a failed fetch, the reason is here and nowhere else. */
function causesOf(error: unknown): string[] {
  const lines: string[] = []
  let at = error
  while (at instanceof Error && lines.length < MAX_CAUSES) {
    // Of several attempts (one for each address of a name) each has its error.
    if (at instanceof AggregateError) {
      lines.push(...at.errors.map((one) => firstLine(messageOf(one))))
      break
    }
    at = at.cause
    if (at === undefined) break
    const text = firstLine(messageOf(at))
    if (text !== '') lines.push(text)
  }
  return lines.slice(0, MAX_CAUSES)
}

function firstLine(text: string): string {
  return (text.split('\n')[0] as string).trim()
}

/**
 * The first line of the stack in `path`, and the first place in another file that it led to, of
 * neither a package nor this one. Columns are left out: transpiling moves them.
 */
function placesInStack(path: string, error: unknown): { own?: string; other?: string } {
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  let other: string | undefined
  for (const frame of stack.split('\n')) {
    const match = /(?:at |\()((?:file:\/\/)?\/[^()]*?|[A-Za-z]:[^()]*?):(\d+):\d+\)?$/.exec(frame)
    if (!match) continue
    const file = plainPath(match[1] as string)
    const line = match[2] as string
    if (file === path) return { own: line, ...(other === undefined ? {} : { other }) }
    if (!/[/\\]node_modules[/\\]/.test(file) && !file.startsWith(OWN)) other ??= `${file}:${line}`
  }
  return {}
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
