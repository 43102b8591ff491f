/**
 * Certificates for tests, made by the openssl CLI in a temporary folder that is
 * removed when the process ends.
 *
 * ```ts
 * const ca = makeAuthority()
 * const a = ca.issue({ names: ['a.example', '*.b.example', '127.0.0.1'], key: 'ec' })
 * // a.cert, a.chain, a.key: PEM; a.certFile, a.chainFile, a.keyFile, a.pemFile: paths
 * ca.certFile // what peers trust
 * ```
 */

import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { needs } from '../interop/support/programs.js'

needs('openssl')

export type TestKey = 'ec' | 'ec384' | 'rsa' | 'rsa1024' | 'ed25519'

export interface IssueOptions {
  /** DNS names and IP addresses; the first one is the common name. */
  names: readonly string[]
  /** Default: the first name. */
  commonName?: string
  /** Without alternative names: the common name only. */
  noAltNames?: boolean
  /** Default 'ec' (P-256). */
  key?: TestKey
  /** From now; default -1 and 90. Expired: { from: -10, days: -1 }. Not valid yet: { from: 5 }. */
  from?: number
  days?: number
  /** For clients: extended key usage clientAuth alone. */
  client?: boolean
}

export interface Issued {
  /** The certificate alone, PEM. */
  readonly cert: string
  /** The certificate and its intermediate authorities, without the root. */
  readonly chain: string
  readonly key: string
  readonly certFile: string
  readonly chainFile: string
  readonly keyFile: string
  /** Chain and key in one file. */
  readonly pemFile: string
  readonly folder: string
}

const root = mkdtempSync(join(tmpdir(), 'sluice-certificates-'))
process.on('exit', () => rmSync(root, { recursive: true, force: true }))
let counter = 0

/** A new empty folder that goes with the process. */
export function certificateFolder(): string {
  const folder = join(root, String(++counter))
  mkdirSync(folder)
  return folder
}

/** A root authority of its own. */
export function makeAuthority(name = 'Test Root', key: TestKey = 'ec'): Authority {
  return new Authority(name, key, undefined)
}

/** A server's or client's certificate that no authority stands behind. */
export function selfSigned(options: IssueOptions): Issued {
  const folder = certificateFolder()
  return finish(folder, prepare(folder), options, undefined, [])
}

/** An authority with its database: issues, revokes, and answers OCSP. */
export class Authority {
  readonly folder = certificateFolder()
  /** PEM. */
  readonly cert: string
  readonly key: string
  readonly certFile = join(this.folder, 'ca.pem')
  readonly keyFile = join(this.folder, 'ca.key')
  /** Certificates between this authority and the root, itself first; PEM. */
  readonly intermediates: readonly string[]
  readonly #config: string

  /** Use `makeAuthority` or `intermediate`. */
  constructor(name: string, key: TestKey, parent: Authority | undefined) {
    this.#config = prepare(this.folder)
    this.key = makeKey(key)
    writeFileSync(this.keyFile, this.key)
    const request = makeRequest(this.folder, this.keyFile, name)
    this.cert = sign(parent?.folder ?? this.folder, {
      config: parent ? parent.#config : this.#config,
      issuer: parent && { cert: parent.certFile, key: parent.keyFile },
      keyFile: this.keyFile,
      request,
      extensions: [
        'basicConstraints=critical,CA:TRUE',
        'keyUsage=critical,keyCertSign,cRLSign,digitalSignature',
        'subjectKeyIdentifier=hash',
        ...(parent ? ['authorityKeyIdentifier=keyid'] : []),
      ],
      from: -2,
      days: 3650,
    })
    writeFileSync(this.certFile, this.cert)
    this.intermediates = parent ? [this.cert, ...parent.intermediates] : []
  }

  /** An authority below this one. */
  intermediate(name = 'Test Intermediate', key: TestKey = 'ec'): Authority {
    return new Authority(name, key, this)
  }

  /** A certificate; every call makes another one, with a key of its own. */
  issue(options: IssueOptions): Issued {
    const folder = certificateFolder()
    return finish(folder, this.#config, options, this, this.intermediates)
  }

  revoke(issued: Issued): void {
    this.#ca('-revoke', issued.certFile)
  }

  /** The revocation list as it is now, PEM; also in the file `crl.pem` of the folder. */
  crl(hours = 48): string {
    const file = join(this.folder, 'crl.pem')
    this.#ca('-gencrl', '-crlhours', String(hours), '-out', file)
    return readFileSync(file, 'utf8')
  }

  get crlFile(): string {
    return join(this.folder, 'crl.pem')
  }

  /** An OCSP response (DER) for a certificate of this authority, good or revoked as it is now. */
  ocsp(issued: Issued): Buffer {
    const request = join(issued.folder, 'ocsp-request.der')
    const response = join(issued.folder, 'ocsp.der')
    const issuer = ['-issuer', this.certFile]
    openssl(['ocsp', ...issuer, '-cert', issued.certFile, '-no_nonce', '-reqout', request])
    openssl([
      ...['ocsp', '-index', join(this.folder, 'index.txt'), '-CA', this.certFile],
      ...['-rsigner', this.certFile, '-rkey', this.keyFile, '-ndays', '7'],
      ...['-reqin', request, '-respout', response],
    ])
    return readFileSync(response)
  }

  #ca(...args: string[]): void {
    const own = ['-cert', this.certFile, '-keyfile', this.keyFile]
    openssl(['ca', '-config', this.#config, ...own, ...args])
  }
}

/** A private key in PKCS#8 PEM. */
export function makeKey(kind: TestKey = 'ec'): string {
  const pem = { type: 'pkcs8', format: 'pem' } as const
  if (kind === 'rsa' || kind === 'rsa1024') {
    const modulusLength = kind === 'rsa' ? 2048 : 1024
    return generateKeyPairSync('rsa', { modulusLength }).privateKey.export(pem).toString()
  }
  if (kind === 'ed25519') return generateKeyPairSync('ed25519').privateKey.export(pem).toString()
  const namedCurve = kind === 'ec' ? 'P-256' : 'P-384'
  return generateKeyPairSync('ec', { namedCurve }).privateKey.export(pem).toString()
}

/** The database that `openssl ca` wants. Returns the path of its configuration. */
function prepare(folder: string): string {
  const config = join(folder, 'openssl.cnf')
  writeFileSync(join(folder, 'index.txt'), '')
  writeFileSync(join(folder, 'index.txt.attr'), 'unique_subject = no\n')
  writeFileSync(join(folder, 'crlnumber'), '01\n')
  writeFileSync(
    config,
    `[ca]
default_ca = this
[this]
database = ${folder}/index.txt
new_certs_dir = ${folder}
crlnumber = ${folder}/crlnumber
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
default_crl_hours = 48
[any]
commonName = optional
[req]
distinguished_name = name
[name]
`,
  )
  return config
}

function makeRequest(folder: string, keyFile: string, commonName: string): string {
  const request = join(folder, 'request.pem')
  const config = ['-config', join(folder, 'openssl.cnf')]
  const subject = commonName === '' ? '/' : `/CN=${commonName}`
  openssl(['req', '-new', ...config, '-key', keyFile, '-subj', subject, '-out', request])
  return request
}

interface SignOptions {
  config: string
  /** Undefined: self-signed by `keyFile`. */
  issuer: { cert: string; key: string } | undefined
  keyFile: string
  request: string
  extensions: readonly string[]
  from: number
  days: number
}

function sign(folder: string, options: SignOptions): string {
  const { config, issuer, keyFile, request, extensions, from, days } = options
  const file = join(folder, `signed-${++counter}.pem`)
  const extensionFile = join(folder, `extensions-${counter}.cnf`)
  writeFileSync(extensionFile, `${extensions.join('\n')}\n`)
  openssl([
    ...['ca', '-batch', '-notext', '-config', config, '-in', request, '-out', file],
    ...(issuer
      ? ['-cert', issuer.cert, '-keyfile', issuer.key]
      : ['-selfsign', '-keyfile', keyFile]),
    ...['-startdate', time(from), '-enddate', time(days), '-extfile', extensionFile],
  ])
  return readFileSync(file, 'utf8')
}

function finish(
  folder: string,
  config: string,
  options: IssueOptions,
  authority: Authority | undefined,
  intermediates: readonly string[],
): Issued {
  const { names, key = 'ec', from = -1, days = 90, client = false } = options
  if (!existsSync(join(folder, 'openssl.cnf'))) prepare(folder)
  const file = (name: string) => join(folder, name)
  const keyPem = makeKey(key)
  writeFileSync(file('key.pem'), keyPem)
  const request = makeRequest(folder, file('key.pem'), options.commonName ?? names[0] ?? '')
  const altNames = names.map((name) => `${isIP(name) ? 'IP' : 'DNS'}:${name}`).join(',')
  const cert = sign(folder, {
    config,
    issuer: authority && { cert: authority.certFile, key: authority.keyFile },
    keyFile: file('key.pem'),
    request,
    extensions: [
      'basicConstraints=critical,CA:FALSE',
      `extendedKeyUsage=${client ? 'clientAuth' : 'serverAuth'}`,
      'subjectKeyIdentifier=hash',
      ...(authority ? ['authorityKeyIdentifier=keyid'] : []),
      ...(altNames === '' || options.noAltNames ? [] : [`subjectAltName=${altNames}`]),
    ],
    from,
    days,
  })
  const chain = [cert, ...intermediates].join('')
  writeFileSync(file('cert.pem'), cert)
  writeFileSync(file('chain.pem'), chain)
  writeFileSync(file('all.pem'), chain + keyPem)
  return {
    cert,
    chain,
    key: keyPem,
    certFile: file('cert.pem'),
    chainFile: file('chain.pem'),
    keyFile: file('key.pem'),
    pemFile: file('all.pem'),
    folder,
  }
}

/** 'YYYYMMDDHHMMSSZ', this many days from now. */
function time(days: number): string {
  const date = new Date(Date.now() + days * 86_400_000).toISOString()
  return `${date.slice(0, 19).replaceAll(/[-:T]/g, '')}Z`
}

function openssl(args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
