/**
 * Certificates of a proxy under test: which names they are for is told or read
 * off the names of their files, and no file is opened.
 */

import { basename, extname, resolve } from 'node:path'
import { wildcardOf } from '../../address/host-name.js'
import { SluiceError } from '../../base/errors.js'
import type {
  ResolvedBind,
  ResolvedDownstreamTls,
  ResolvedServer,
  ResolvedUpstreamTls,
} from '../../config/resolved.js'
import type { Engine } from '../../engine/engine.js'
import type { ClientCertDemand } from '../../policy/types.js'
import type { ContextSupplier, DownstreamContexts } from '../../tls/contexts.js'

/**
 * Names by certificate file or folder, as the configuration has it: `{ 'certs/shop.pem':
 * ['shop.example', '*.shop.example'] }`. A file that is not here is for the name that its own
 * name tells: 'certs/shop.example.pem' for shop.example.
 */
export type CertificateNames = Readonly<Record<string, readonly string[]>>

/** The certificate that policy chose. */
export interface TestCertificateChoice {
  /** Path of its set in the configuration: 'frontends.web.bind.tls[1]'. */
  readonly set: string
  /** The name it is for that fitted; the first one where none did. */
  readonly name: string
  /** What clients are asked for. */
  readonly clientCert: ClientCertDemand
}

interface Certificate {
  readonly set: ResolvedDownstreamTls
  readonly names: readonly string[]
}

type Contexts = Pick<Engine, 'downstreamTls' | 'upstreamTls'>

/** Stands where the store of a proxy would: what is in files is made up. */
export class TestCertificates implements ContextSupplier {
  readonly #engine: Contexts
  readonly #names: ReadonlyMap<string, readonly string[]>
  /** Contexts by what they were made for. */
  readonly #made = new Map<string, number>()
  readonly #choices = new Map<number, TestCertificateChoice>()
  readonly #servers = new Map<ResolvedUpstreamTls, number>()

  constructor(engine: Contexts, names: CertificateNames = {}) {
    this.#engine = engine
    const entries = Object.entries(names)
    this.#names = new Map(entries.map(([file, list]) => [resolve(file), list]))
  }

  forBind(bind: ResolvedBind): DownstreamContexts {
    const sets = bind.tls ?? []
    const certificates = sets.flatMap((set) => this.#certificatesOf(set))
    return {
      choose: (serverName, demand) => {
        const found =
          find(certificates, serverName) ?? find(certificates, wildcardOf(serverName) ?? '')
        const first = sets[0]
        if (found !== undefined) return this.#context(found.set, found.name, demand)
        if (first === undefined || first.strictSni) return undefined
        const shown = certificates.find(({ set }) => set === first)?.names[0] ?? ''
        return this.#context(first, shown, demand)
      },
    }
  }

  forServer({ name, tls }: ResolvedServer): number {
    if (tls === undefined) {
      throw new SluiceError('ERR_SLUICE_ARGUMENT', `server '${name}' has no TLS`)
    }
    let context = this.#servers.get(tls)
    if (context === undefined) {
      const { verify, alpn, minVersion, maxVersion, ciphers, groups } = tls
      const common = { alpn, minVersion, maxVersion, ciphers, groups, ca: '', crl: '' }
      context = this.#engine.upstreamTls({ ...common, verify, sessionCache: 0 })
      this.#servers.set(tls, context)
    }
    return context
  }

  /** What a context was chosen for; undefined for one that was made elsewhere. */
  choiceOf(context: number): TestCertificateChoice | undefined {
    return this.#choices.get(context)
  }

  #certificatesOf(set: ResolvedDownstreamTls): Certificate[] {
    const files = [...set.certificates.map(({ cert }) => cert), ...set.directories]
    return files.map((file) => ({ set, names: this.#names.get(file) ?? [nameOf(file)] }))
  }

  #context(
    set: ResolvedDownstreamTls,
    name: string,
    demand: ClientCertDemand | undefined,
  ): number | undefined {
    const clientCert = demand ?? set.clientCert
    if (demand !== undefined && demand !== 'none' && set.ca.length === 0) return undefined
    const key = `${set.path} ${name} ${clientCert}`
    let context = this.#made.get(key)
    if (context === undefined) {
      const { alpn, minVersion, maxVersion, ciphers, groups } = set
      context = this.#engine.downstreamTls({
        alpn,
        minVersion,
        maxVersion,
        ciphers,
        groups,
        ca: '',
        crl: '',
        certificates: [],
        clientCert,
        sessionGroup: key,
        tickets: set.tickets,
        ticketRotation: set.ticketRotation,
        sessionCache: set.sessionCache,
      })
      this.#made.set(key, context)
      this.#choices.set(context, { set: set.path, name, clientCert })
    }
    return context
  }
}

function find(certificates: readonly Certificate[], name: string) {
  const found = name === '' ? undefined : certificates.find(({ names }) => names.includes(name))
  return found && { set: found.set, name }
}

function nameOf(file: string): string {
  return basename(file, extname(file)).toLowerCase()
}
