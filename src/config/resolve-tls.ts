/** TLS of binds and servers: files, versions and names that fit together. */

import { statSync } from 'node:fs'
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { isHostName, normalName } from '../address/host-name.js'
import { show } from '../base/units.js'
import type { Checked } from '../options/section.js'
import {
  type CommonTls,
  commonTls,
  tickets as ticketsSection,
  tls13Ciphers,
  tlsOfBind,
  tlsOfServer,
} from '../options/tls.js'
import type {
  CertificateConfig,
  DownstreamTlsConfig,
  UpstreamTlsConfig,
} from '../options/written.js'
import type { Context } from './context.js'
import { formatPath, type Issues, type Path } from './issues.js'
import type {
  CertificateFiles,
  ResolvedBind,
  ResolvedDownstreamTls,
  ResolvedUpstreamTls,
  ServerAddress,
} from './resolved.js'

type Common = Pick<ResolvedUpstreamTls, 'path' | keyof CommonTls>
/** A list that may have lost its wrong entries. */
type Loose = string | readonly (string | undefined)[] | undefined

/** The sets of a bind, the default one first. */
export function resolveDownstreamTls(
  path: Path,
  tls:
    | Checked<DownstreamTlsConfig>
    | readonly (Checked<DownstreamTlsConfig> | undefined)[]
    | undefined,
  context: Context,
): ResolvedDownstreamTls[] | undefined {
  if (tls === undefined) return undefined
  if (!isList(tls)) return [resolveSet(path, tls, context.issues)]
  if (tls.length === 0) {
    context.issues.add(path, 'expected at least one set of certificates, got an empty list.')
  }
  return tls.flatMap((set, i) => (set ? [resolveSet([...path, i], set, context.issues)] : []))
}

function resolveSet(
  path: Path,
  set: Checked<DownstreamTlsConfig>,
  issues: Issues,
): ResolvedDownstreamTls {
  const common = resolveCommon(path, set, issues)
  const { cert, key, ocsp, certificates: list, tickets, ...options } = tlsOfBind.resolve(set)
  const written = present(cert)
  const directories = written.filter(isDirectory)
  const files = written.filter((file) => !directories.includes(file))
  const single = typeof cert === 'string' && files.length === 1
  for (const [option, value] of Object.entries({ key, ocsp })) {
    if (value === undefined || single) continue
    const why =
      cert === undefined
        ? "is there without 'cert'."
        : "is for a 'cert' that is one file; name several as certificates: [{ cert, key, ocsp }]."
    issues.add([...path, option], why)
  }
  const more = (list ?? []) as readonly (Checked<CertificateConfig> | undefined)[]
  const certificates = [
    ...files.map((file) =>
      certificateFiles(file, single ? key : undefined, single ? ocsp : undefined),
    ),
    ...more.flatMap((one) => (one?.cert ? [certificateFiles(one.cert, one.key, one.ocsp)] : [])),
  ]
  const none = written.length === 0 && more.length === 0
  // A 'cert' that is there and wrong, or misspelt, was told by the shape check.
  if (none && !('cert' in set && cert === undefined) && !issues.hasBelow(path)) {
    issues.add(path, "has no certificate: 'cert' names a PEM file or a folder of them.")
  }
  if (
    options.clientCert !== 'none' &&
    common.ca.length === 0 &&
    !('ca' in set && set.ca === undefined)
  ) {
    issues.add(
      [...path, 'clientCert'],
      "needs 'ca': the authorities that sign clients' certificates.",
    )
  }
  if (common.crl.length > 0 && common.ca.length === 0) {
    issues.add([...path, 'crl'], "needs 'ca': the authorities whose lists these are.")
  }
  return {
    ...options,
    ...common,
    certificates,
    directories: directories.map((file) => resolve(file)),
    tickets: tickets !== false,
    ticketRotation: ticketsSection.resolve(typeof tickets === 'object' ? tickets : {}).rotate,
  }
}

/** TLS towards a server; `address` is the server's. */
export function resolveUpstreamTls(
  path: Path,
  tls: boolean | Checked<UpstreamTlsConfig> | undefined,
  address: ServerAddress,
  issues: Issues,
): ResolvedUpstreamTls | undefined {
  if (!tls) return undefined
  if (address.kind === 'applet') {
    issues.add(path, 'is for sockets, and this server is an applet.')
    return undefined
  }
  const config = tls === true ? {} : tls
  const common = resolveCommon(path, config, issues)
  const { verify, serverName, cert, key, ...options } = tlsOfServer.resolve(config)
  if (key !== undefined && cert === undefined && !('cert' in config)) {
    issues.add([...path, 'key'], "is there without 'cert'.")
  }
  const fixed = typeof serverName === 'string' ? normalName(serverName) : undefined
  if (fixed !== undefined && !isIP(fixed) && !isHostName(fixed)) {
    issues.add(
      [...path, 'serverName'],
      `expected a host name or an IP address, got ${show(serverName)}.`,
    )
  }
  const own = defaultServerName(address)
  if (verify === 'required' && own === '' && !('serverName' in config)) {
    issues.add(path, "needs a 'serverName' to verify: a unix socket has no name of its own.")
  }
  return {
    ...options,
    ...common,
    verify: verify === 'required',
    systemCa: common.ca.length === 0 && verify === 'required',
    serverName: fixed ?? own,
    chooseServerName: typeof serverName === 'function' ? serverName : undefined,
    certificate: cert === undefined ? undefined : certificateFiles(cert, key, undefined),
  }
}

function defaultServerName(address: Exclude<ServerAddress, { kind: 'applet' }>): string {
  if (address.kind === 'unix') return ''
  // No certificate is for a scope.
  return address.kind === 'ip' ? address.ip.replace(/%.*/, '') : normalName(address.host)
}

/** Server names that are routed unterminated: exact ones, '*.name' and '*'. */
export function resolveSniRoutes(
  path: Path,
  routes: Record<string, string | undefined> | undefined,
  { issues, names }: Context,
): ResolvedBind['sniRoutes'] {
  if (routes === undefined) return undefined
  if (Object.keys(routes).length === 0) issues.add(path, 'expected at least one name.')
  const resolved = new Map<string, string>()
  for (const [written, backend] of Object.entries(routes)) {
    const at = [...path, written]
    const name = normalName(written)
    const wrong = checkPattern(name)
    if (wrong) issues.add(at, `${wrong}, got ${show(written)}.`)
    else if (resolved.has(name))
      issues.add(at, 'is there twice: case and a final dot do not count.')
    if (backend === undefined) continue
    if (names.backends && !names.backends.includes(backend)) {
      issues.unknownName(at, 'backend', backend, names.backends)
    }
    resolved.set(name, backend)
  }
  return resolved
}

function checkPattern(name: string): string | undefined {
  if (name === '*') return undefined
  // RFC 6066 section 3: addresses are no server names.
  if (isIP(name)) return 'expected a host name, since clients never ask for an address'
  return isHostName(name.startsWith('*.') ? name.slice(2) : name)
    ? undefined
    : "expected a host name, '*.name' (one label) or '*' (the rest)"
}

function resolveCommon(
  path: Path,
  config: Checked<Pick<UpstreamTlsConfig, keyof CommonTls>>,
  issues: Issues,
): Common {
  const options = commonTls.resolve(config)
  const { minVersion, maxVersion } = options
  if (minVersion > maxVersion) {
    issues.add([...path, 'minVersion'], `is newer than maxVersion, which is '${maxVersion}'.`)
  } else checkCiphers([...path, 'ciphers'], config.ciphers, minVersion, maxVersion, issues)
  for (const option of ['alpn', 'ciphers', 'groups'] as const) {
    for (const [i, value] of (config[option] ?? []).entries()) {
      if (value === undefined || config[option]?.indexOf(value) === i) continue
      issues.add([...path, option, i], `${show(value)} is there twice.`)
    }
  }
  const { ca, crl } = config
  for (const [option, value] of Object.entries({ ca, crl })) {
    if (Array.isArray(value) && value.length === 0)
      issues.add([...path, option], 'expected at least one file, got an empty list.')
  }
  return {
    ...options,
    path: formatPath(path),
    ca: present(ca).map((file) => resolve(file)),
    crl: present(crl).map((file) => resolve(file)),
  }
}

/** Every suite is for a version that may be used, and every version has a suite. */
function checkCiphers(
  path: Path,
  ciphers: readonly (string | undefined)[] | undefined,
  min: string,
  max: string,
  issues: Issues,
): void {
  const list = ciphers ?? []
  const versionOf = (cipher: string) => (tls13Ciphers.includes(cipher) ? 'TLSv1.3' : 'TLSv1.2')
  for (const [i, cipher] of list.entries()) {
    if (cipher === undefined) continue
    const version = versionOf(cipher)
    if (version > max) issues.add([...path, i], `is for ${version}, and maxVersion is '${max}'.`)
    if (version < min) issues.add([...path, i], `is for ${version}, and minVersion is '${min}'.`)
  }
  if (list.length === 0 || list.includes(undefined) || issues.hasBelow(path)) return
  for (const version of min === max ? [] : [min, max]) {
    if (list.some((cipher) => cipher && versionOf(cipher) === version)) continue
    const fix = version === max ? `maxVersion: '${min}'` : `minVersion: '${max}'`
    issues.add(path, `has no suite of ${version}: add one, or say ${fix}.`)
  }
}

function certificateFiles(
  cert: string,
  key: string | undefined,
  ocsp: string | undefined,
): CertificateFiles {
  return {
    cert: resolve(cert),
    key: resolve(key ?? cert),
    ocsp: ocsp === undefined ? undefined : resolve(ocsp),
  }
}

function present(value: Loose): string[] {
  const list = typeof value === 'string' ? [value] : (value ?? [])
  return list.filter((item) => item !== undefined)
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value)
}

/** What is not there yet counts as a file: reading it says so. */
function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
