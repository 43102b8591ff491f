/** Loads the addon that was built beside this file, and checks that it speaks the same contract. */

import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { SluiceError } from '../../base/errors.js'
import { WIRE_VERSION } from '../../wire/wire.js'
import type {
  DownstreamTlsSpec,
  ListenResult,
  ListenSpec,
  RouteSpec,
  UpstreamTlsSpec,
} from '../engine.js'

/** ListenSpec with a flat address, as crates/addon takes it. */
export interface NativeListenSpec extends Omit<ListenSpec, 'address'> {
  kind: 'tcp' | 'unix' | 'fd'
  host?: string
  port?: number
  v6Only?: boolean
  path?: string
  mode?: number
  fd?: number
}

/** RouteSpec with its parts flat. */
export interface NativeRouteSpec extends Omit<RouteSpec, 'address' | 'source' | 'socks' | 'tls'> {
  kind: 'tcp' | 'unix'
  ip?: string
  port?: number
  path?: string
  sourceIp?: string
  sourcePort?: number
  socksVersion: number
  socksUser?: string
  socksPassword?: string
  socksHost?: string
  socksPort?: number
  tlsContext?: number
  tlsServerName?: string
}

export interface NativeHandle {
  listen(spec: NativeListenSpec): {
    listener: number
    address: string
    port: number
    errno: number
    step: string
  }
  unlisten(listener: number): number
  abandon(listener: number): void
  pause(listener: number, paused: boolean): void
  route(spec: NativeRouteSpec): number
  unroute(route: number): void
  downstreamTls(spec: DownstreamTlsSpec): number
  upstreamTls(spec: UpstreamTlsSpec): number
  tlsForget(context: number): void
  wake(worker: number): void
  doorbell(): 'loop' | 'queue'
  testPanic(worker: number): void
  stats(): number[]
  now(): number
  /** Returns the records that the rings had no room for, by worker. */
  stop(): Int32Array[]
}

export interface NativeOptions {
  /** Ring by a ThreadsafeFunction instead of a handle on the event loop. */
  queue?: boolean
  /** Look for more events for 200 us after each batch, before the thread sleeps. */
  busyPoll?: boolean
  /** Have this thread take the workers' turns while traffic is sparse. */
  lead?: boolean
  /** Pipes for bulk payload at once, in all workers; no limit where it is missing. */
  maxpipes?: number
}

export interface Binding {
  wireVersion(): number
  testPanic(): void
  /** Sends a message to a service manager: `socket` is a path or '@name'. Throws where it cannot. */
  notify(socket: string, message: string): void
  TestDatagrams: new (path: string) => { take(): string[] }
  NativeEngine: new (
    memories: readonly Int32Array[],
    table: Int32Array,
    maxconn: number,
    doorbell: () => void,
    options?: NativeOptions,
  ) => NativeHandle
  benchRing(memory: Int32Array, count: number, doorbell: () => void): void
  benchCalls(count: number, callback: (...event: number[]) => void): void
}

const here: string | undefined = import.meta.url

/** Beside the compiled TypeScript, where the build puts it. */
const BESIDE = './binding.cjs'

/**
 * The addon: the file of SLUICE_ADDON, or the one that was built beside this module. Throws
 * ERR_SLUICE_ENGINE where it does not load and ERR_SLUICE_ABI_MISMATCH where it was built from
 * another contract. `path` is for tests.
 */
export function loadBinding(path = process.env.SLUICE_ADDON || BESIDE): Binding {
  let binding: Partial<Binding>
  try {
    // From the working directory, as a person means a path in the environment.
    const file = path === BESIDE ? path : resolve(path)
    // Undefined where a bundler has made CommonJS of this module.
    binding = createRequire(here ?? `${process.cwd()}/`)(file) as Partial<Binding>
  } catch (error) {
    throw new SluiceError(
      'ERR_SLUICE_ENGINE',
      `the native addon does not load: ${why(error, path)}`,
      {
        cause: error,
      },
    )
  }
  if (typeof binding.wireVersion !== 'function') {
    throw new SluiceError('ERR_SLUICE_ENGINE', `${path} is not the addon of Sluice`)
  }
  const version = binding.wireVersion()
  if (version !== WIRE_VERSION) {
    throw new SluiceError(
      'ERR_SLUICE_ABI_MISMATCH',
      `the native addon speaks contract ${version}, this package speaks ${WIRE_VERSION}: rebuild it with 'npm run build:addon'`,
    )
  }
  return binding as Binding
}

function why(error: unknown, path: string): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code !== 'MODULE_NOT_FOUND') {
    const [first] = (message ?? String(error)).split('\n', 1)
    return `${first} (built for another machine? 'npm run build:addon' builds it for this one)`
  }
  if (path !== BESIDE) return `there is no ${resolve(path)}`
  return here?.endsWith('/dist/engine/native/load.js')
    ? "it has not been built (install Rust from https://rustup.rs, then 'npm run build:addon')"
    : `${here ?? 'this program'} is no file of the package 'sluice': a bundler has put it there, without the addon. ` +
        "Leave the package out of the bundle (esbuild: --external:sluice, 'external: ['sluice']' in " +
        'others), or name the file: SLUICE_ADDON=/path/to/sluice.*.node'
}

/** Family of an address that listen() reports. */
export function listenAddress(address: string, port: number): ListenResult['address'] {
  if (address === '') return { family: 'unix', address: '', port: 0 }
  return { family: address.includes(':') ? 'IPv6' : 'IPv4', address, port }
}
