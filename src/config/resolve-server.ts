/** One server: its address, and how it is reached. */

import { isIPv6 } from 'node:net'
import { readIpPort, readServerAddress } from '../address/bind.js'
import { show } from '../base/units.js'
import { TlvType } from '../codec/proxy.js'
import { noLiveness } from '../options/liveness.js'
import { type Checked, namesOf } from '../options/section.js'
import { server as serverSection, socks as socksSection } from '../options/server.js'
import type { ServerConfig } from '../options/written.js'
import type { Applet } from '../policy/applet.js'
import { type Context, namedApplet } from './context.js'
import type { Issues, Path } from './issues.js'
import { resolveUpstreamTls } from './resolve-tls.js'
import type { ResolvedServer, ServerAddress } from './resolved.js'

const TCP_OPTIONS = namesOf(serverSection, 'tcpOnly')

/** `position` counts from 1. `section` is the path of the servers. Undefined where the address is wrong. */
export function resolveServer(
  name: string,
  position: number,
  written: string | Checked<ServerConfig> | Applet,
  section: Path,
  context: Context,
): ResolvedServer | undefined {
  const path = [...section, name]
  const config = asConfig(written)
  const { issues } = context
  const address = resolveAddress(
    typeof written === 'string' ? path : [...path, 'address'],
    path,
    config,
    context,
  )
  const socks = resolveSocks([...path, 'socks'], config.socks, context)
  const source = resolveSource([...path, 'source'], config.source, context)
  if (!address) return undefined
  const isTcp = address.kind === 'ip' || address.kind === 'host'
  const kind = address.kind === 'unix' ? 'a unix socket' : 'an applet'
  for (const option of TCP_OPTIONS) {
    if (config[option] && !isTcp)
      issues.add([...path, option], `is for TCP, and this server is ${kind}.`)
  }
  if (config.sendProxy && address.kind === 'applet') {
    issues.add([...path, 'sendProxy'], 'is for sockets, and this server is an applet.')
  }
  if (typeof source === 'object')
    checkFamily([...path, 'source'], source.ip, address, socks, issues)
  const { applet: _, ...options } = serverSection.resolve(config)
  const { sendProxy } = options
  for (const option of ['uniqueId', 'crc32c', 'ssl', 'authority', 'tlvs'] as const) {
    if (sendProxy?.version === 1 && sendProxy[option]) {
      issues.add([...path, 'sendProxy', option], 'needs version 2.')
    }
  }
  checkTlvs([...path, 'sendProxy', 'tlvs'], sendProxy?.tlvs, issues)
  const tls = resolveUpstreamTls([...path, 'tls'], config.tls, address, issues)
  return {
    ...options,
    ...(isTcp ? {} : noLiveness),
    name,
    id: options.id ?? position,
    address,
    tls,
    socks,
    source,
  }
}

/** No socket of one family connects to an address of the other. Names are asked for the family of the source. */
function checkFamily(
  path: Path,
  source: string,
  address: ServerAddress,
  socks: ResolvedServer['socks'],
  issues: Issues,
): void {
  const peer = socks?.ip ?? (address.kind === 'ip' ? address.ip : undefined)
  if (peer === undefined || isIPv6(peer) === isIPv6(source)) return
  const family = isIPv6(peer) ? 'IPv6' : 'IPv4'
  const who = socks ? 'the SOCKS proxy' : 'the server'
  issues.add(path, `expected an ${family} address, as that of ${who}, got ${show(source)}.`)
}

/** What describes the header that came in would be wrong in another one. */
function checkTlvs(
  path: Path,
  tlvs: boolean | readonly number[] | undefined,
  issues: Issues,
): void {
  if (!Array.isArray(tlvs)) return
  const why = new Map([
    [
      TlvType.CRC32C,
      "the checksum of the header that came in; 'crc32c' sends one of the header that goes out.",
    ],
    [TlvType.NOOP, 'padding, which is not handed on.'],
  ])
  for (const [i, type] of tlvs.entries()) {
    if (why.has(type)) issues.add([...path, i], `${type} is ${why.get(type)}`)
  }
}

function asConfig(written: string | Checked<ServerConfig> | Applet): Checked<ServerConfig> {
  if (typeof written === 'string') return { address: written }
  return 'kind' in written ? { applet: written as Applet } : (written as Checked<ServerConfig>)
}

function resolveAddress(
  path: Path,
  serverPath: Path,
  config: Checked<ServerConfig>,
  context: Context,
): ServerAddress | undefined {
  const { issues, names } = context
  if (config.applet) {
    if (config.address !== undefined) {
      issues.add(serverPath, "has both an 'address' and an 'applet'; one is enough.")
    }
    return { kind: 'applet', applet: config.applet }
  }
  if (config.address === undefined) {
    // An address or applet that is there and wrong, or misspelt, was told by the shape check.
    const told = 'address' in config || 'applet' in config || issues.hasBelow(serverPath)
    if (!told) issues.add(serverPath, "has neither an 'address' nor an 'applet'.")
    return undefined
  }
  const parsed = readServerAddress(config.address)
  if ('message' in parsed) {
    issues.add(path, parsed.message, parsed.suggestion)
    return undefined
  }
  if (parsed.value.kind !== 'applet') return parsed.value
  const applet = namedApplet(context, parsed.value.name)
  if (applet) return { kind: 'applet', applet }
  if (names.applets && !names.applets.includes(parsed.value.name)) {
    issues.unknownName(path, 'applet', parsed.value.name, names.applets)
  }
  return undefined
}

function resolveSocks(
  path: Path,
  socks: Checked<NonNullable<ServerConfig['socks']>> | undefined,
  context: Context,
): ResolvedServer['socks'] {
  if (!socks?.address) return undefined
  const { issues } = context
  const { address, ...options } = socksSection.resolve(socks)
  const { version, user, password } = options
  const parsed = readIpPort(address)
  if ('message' in parsed) issues.add([...path, 'address'], parsed.message, parsed.suggestion)
  if (password !== undefined && version === 4) issues.add([...path, 'password'], 'needs version 5.')
  else if (password !== undefined && user === undefined)
    issues.add([...path, 'password'], "needs a 'user'.")
  else if (user !== undefined && password === undefined && version === 5) {
    issues.add([...path, 'user'], "needs a 'password' with version 5.")
  }
  for (const [key, value] of Object.entries({ user, password })) {
    // RFC 1929 section 2: one byte of length.
    if (value !== undefined && Buffer.byteLength(value) > 255) {
      issues.add([...path, key], 'has at most 255 bytes.')
    }
  }
  return 'value' in parsed ? { ...parsed.value, ...options } : undefined
}

function resolveSource(
  path: Path,
  source: string | undefined,
  context: Context,
): ResolvedServer['source'] {
  if (source === undefined || source === 'client') return source
  const parsed = readIpPort(source, 0)
  if ('value' in parsed) return parsed.value
  context.issues.add(path, parsed.message, parsed.suggestion)
  return undefined
}
