/** Looking at files without reading them: what is in a folder, and what has changed. */

import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isCertificate, isKey, pemBlocks } from '../codec/pem.js'
import type { ResolvedDownstreamTls } from '../config/resolved.js'
import { type CertificateSource, sourceOf } from './certificates.js'
import { describeFailure, type Fault, type Read, readContent } from './content.js'

/** What a missing file looks like. */
export const MISSING = '-'

/** Changes when the file is written or replaced; links are followed. */
export async function look(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(file)
    return `${ino}:${size}:${mtimeMs}:${ctimeMs}`
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? MISSING : 'unreadable'
  }
}

/** Files that are asked for at once: each takes one of libuv's few threads. */
const AT_ONCE = 32

/** What `ask` says of each, in their order; a few are asked at once. */
export async function askAll<T, R>(
  items: readonly T[],
  ask: (item: T) => Promise<R>,
): Promise<R[]> {
  const answers: R[] = []
  for (let i = 0; i < items.length; i += AT_ONCE) {
    answers.push(...(await Promise.all(items.slice(i, i + AT_ONCE).map(ask))))
  }
  return answers
}

/** Every certificate of a set: the files that are named, then those of the folders by name. */
export async function findSources(
  tls: ResolvedDownstreamTls,
  keyless: KeylessFiles,
): Promise<Read<CertificateSource[]>> {
  const sources = tls.certificates.map(sourceOf)
  const faults: Fault[] = []
  for (const directory of tls.directories) {
    const found = await scan(directory, keyless)
    if ('value' in found) sources.push(...found.value)
    else faults.push(...found.faults)
  }
  return faults.length > 0 ? { faults } : { value: sources }
}

/** What a library knows of certificates without a key: their files are read when they change only. */
export class KeylessFiles {
  /** With what a file looked like when its key was looked for. */
  readonly #known = new Map<string, { state: string; keyless: boolean }>()

  /** Those that are a server's: with a key. With none of them, all: what is wrong is told of each. */
  async ofServers(sources: readonly CertificateSource[]): Promise<CertificateSource[]> {
    for (const { cert, key } of sources) {
      if (key !== cert) this.#known.set(cert, { state: MISSING, keyless: false })
    }
    const without = await askAll(sources, ({ cert }) => this.#has(cert))
    const found = sources.filter((_, i) => !without[i])
    return found.length > 0 ? found : [...sources]
  }

  /**
   * A certificate without a key, such as an authority's beside those of a server. One that
   * has had its key is a server's that is damaged: it is read, and what is wrong is told.
   */
  async #has(file: string): Promise<boolean> {
    const state = await look(file)
    const known = this.#known.get(file)
    if (known && (known.state === state || !known.keyless)) return known.keyless
    const read = await readContent(file)
    if (!('value' in read)) return false
    const blocks = pemBlocks(read.value.bytes.toString('latin1'))
    const keyless = blocks.some(isCertificate) && !blocks.some(isKey)
    this.#known.set(file, { state, keyless })
    return keyless
  }
}

/** NAME.pem or NAME.crt, each with NAME.key where that is there and NAME.ocsp where it comes. */
async function scan(directory: string, keyless: KeylessFiles): Promise<Read<CertificateSource[]>> {
  let names: string[]
  try {
    names = await readdir(directory)
  } catch (error) {
    const message = describeFailure(error as NodeJS.ErrnoException, 'folder')
    return { faults: [{ file: directory, message }] }
  }
  const there = new Set(names)
  const certificates = names.filter((name) => /^[^.].*\.(pem|crt)$/.test(name)).sort()
  if (certificates.length === 0) {
    const message = 'holds no certificate; expected NAME.pem or NAME.crt files.'
    return { faults: [{ file: directory, message }] }
  }
  const value = certificates.map((name) => {
    const base = name.replace(/\.(pem|crt)$/, '')
    const cert = join(directory, name)
    return {
      id: `${cert}\n*`,
      cert,
      key: there.has(`${base}.key`) ? join(directory, `${base}.key`) : cert,
      ocsp: there.has(`${base}.ocsp`) ? join(directory, `${base}.ocsp`) : undefined,
      inFolder: true,
    }
  })
  return { value: await keyless.ofServers(value) }
}
