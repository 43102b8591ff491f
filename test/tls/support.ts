/** A store over a fake engine, a virtual clock and files in a folder. */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pino from 'pino'
import { SluiceError } from '#sluice/base/errors.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { ResolvedBind, ResolvedServer, ResolvedUpstreamTls } from '#sluice/config/resolved.js'
import type { Config, DownstreamTlsConfig, ServerConfig } from '#sluice/config/types.js'
import type { DownstreamTlsSpec, Engine, UpstreamTlsSpec } from '#sluice/engine/engine.js'
import { VirtualClock } from '#sluice/testing/clock.js'
import type { ReloadReport } from '#sluice/tls/contexts.js'
import { TlsStore } from '#sluice/tls/store.js'
import { certificateFolder } from '../support/certificates.js'

/** Contexts that live, with what they were made from. */
export class FakeContexts {
  readonly servers = new Map<number, DownstreamTlsSpec>()
  readonly clients = new Map<number, UpstreamTlsSpec>()
  made = 0
  /** Refuses a specification with this message. */
  refuse: (spec: DownstreamTlsSpec | UpstreamTlsSpec) => string | undefined = () => undefined

  downstreamTls(spec: DownstreamTlsSpec): number {
    return this.#make(this.servers, spec)
  }

  upstreamTls(spec: UpstreamTlsSpec): number {
    return this.#make(this.clients, spec)
  }

  tlsForget(context: number): void {
    const known = this.servers.delete(context) || this.clients.delete(context)
    if (!known) throw new Error(`context ${context} is forgotten twice`)
  }

  get live(): number {
    return this.servers.size + this.clients.size
  }

  #make<T extends DownstreamTlsSpec | UpstreamTlsSpec>(into: Map<number, T>, spec: T): number {
    const message = this.refuse(spec)
    if (message !== undefined) throw new SluiceError('ERR_SLUICE_TLS', message)
    into.set(++this.made, spec)
    return this.made
  }
}

export interface LogLine {
  level: number
  msg: string
}

export interface World {
  store: TlsStore
  engine: FakeContexts
  clock: VirtualClock
  lines: LogLine[]
  reports: ReloadReport[]
  binds: ResolvedBind[]
  servers: ResolvedServer[]
  /** Times that servers were told of new contexts. */
  renewed: number
  load(): Promise<void>
}

export interface WorldOptions {
  binds?: (DownstreamTlsConfig | DownstreamTlsConfig[])[]
  servers?: ServerConfig[]
  interval?: number
  /** ms from now. */
  wall?: () => number
}

/** Binds and servers with this TLS, not loaded yet. */
export function world({ binds = [], servers = [], interval = 0, wall }: WorldOptions): World {
  const config: Config = {
    frontends: {
      web: {
        bind: binds.map((tls, i) => ({ address: `127.0.0.1:${i + 1}`, tls })),
        backend: 'app',
      },
    },
    backends: {
      app: {
        servers:
          servers.length === 0
            ? { s0: '127.0.0.1:1' }
            : Object.fromEntries(servers.map((server, i) => [`s${i}`, server])),
      },
    },
  }
  if (binds.length === 0) config.frontends = { web: { bind: '127.0.0.1:1', backend: 'app' } }
  const resolved = resolveConfig(config)
  const engine = new FakeContexts()
  const clock = new VirtualClock()
  const lines: LogLine[] = []
  const reports: ReloadReport[] = []
  const made: World = {
    engine,
    clock,
    lines,
    reports,
    binds: resolved.frontends.flatMap((frontend) => frontend.binds),
    servers: resolved.backends.flatMap((backend) => backend.servers),
    renewed: 0,
    store: new TlsStore({
      engine: engine as unknown as Engine,
      clock,
      logger: pino({ level: 'trace' }, { write: (line: string) => lines.push(JSON.parse(line)) }),
      interval,
      onServers: () => made.renewed++,
      onReload: (report) => reports.push(report),
      ...(wall && { wallClock: wall }),
    }),
    load: () =>
      made.store.load(
        made.binds.flatMap(({ tls }) => (tls ? [tls] : [])),
        made.servers.flatMap(({ tls }): ResolvedUpstreamTls[] => (tls ? [tls] : [])),
      ),
  }
  return made
}

/** A folder for certificates that come and go. */
export function tray(files: Record<string, string> = {}) {
  const path = join(certificateFolder(), 'certs')
  mkdirSync(path)
  const put = (name: string, content: string | Uint8Array) => {
    writeFileSync(join(path, name), content)
    return join(path, name)
  }
  for (const [name, content] of Object.entries(files)) put(name, content)
  return {
    path,
    put,
    at: (name: string) => join(path, name),
    remove: (name: string) => rmSync(join(path, name)),
  }
}

/** Messages at a level: 40 is warn, 50 error. */
export function messages(lines: readonly LogLine[], level: number): string[] {
  return lines.flatMap((line) => (line.level === level ? [line.msg] : []))
}
