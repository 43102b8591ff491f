/**
 * Addresses as users write them: where to listen and where servers are.
 * Everything answers with a value or a message, so that checking collects every
 * error; nothing here asks DNS.
 */

import { suggest } from '../base/suggest.js'
import { type Parsed, show } from '../base/units.js'
import { addressHint } from './hint.js'
import { isHostName, normalName } from './host-name.js'
import { inheritedSockets } from './listen-fds.js'
import { parseIp } from './parse.js'

/** Where to listen. Port 0 picks a free port. */
export type ListenAddress =
  | { kind: 'tcp'; host: string; port: number; v6only?: boolean }
  /** A path that begins with '@' is a name in Linux's abstract namespace. */
  | { kind: 'unix'; path: string; mode?: number }
  | { kind: 'fd'; fd: number }

/** sockaddr_un holds 108 bytes, the last one is 0 (unix(7)). */
const MAX_UNIX_PATH = 107

export interface BindOptions {
  /** Port or range, where the address has none. */
  port?: number | string | undefined
  v6only?: boolean | undefined
  /** Permissions of a unix socket in octal. */
  mode?: number | undefined
  /** Where LISTEN_FDS is read from. */
  env?: NodeJS.ProcessEnv | undefined
  /** Accept 'systemd' where no socket was passed, as `sluice check` does. The result is then empty. */
  allowNoSockets?: boolean | undefined
}

/**
 * Where a server is, before applet names are looked up. `offset`: its port is the one that the
 * client came to and this; `port` is 0 then.
 */
export type WrittenServerAddress =
  | { kind: 'ip'; ip: string; port: number; offset?: number }
  | { kind: 'host'; host: string; port: number; offset?: number }
  | { kind: 'unix'; path: string }
  | { kind: 'applet'; name: string }

const BIND =
  "an address such as '127.0.0.1:8080', '[::1]:8080', ':8080', '127.0.0.1:8000-8010', " +
  "'unix:/run/a.sock', 'fd@3' or 'systemd'"
const SERVER = "'ip:port', '[v6]:port', 'host.name:port', 'unix:/path' or 'applet:NAME'"

/**
 * Reads a bind address. The result has one entry for each port of a range, and
 * for each socket that systemd passed.
 */
export function readBindAddress(text: string, options: BindOptions = {}): Parsed<ListenAddress[]> {
  const wrong = (why?: string) => wrongAddress(BIND, text, why, true)
  const special = /^(unix[:@]|fd@|systemd)/.test(text)
  if (special && options.port !== undefined) return { message: `${show(text)} takes no port.` }
  const unix = readUnix(text)
  if (unix) {
    if ('message' in unix) return unix
    const { mode } = options
    if (options.v6only !== undefined)
      return { message: `'v6only' is for IPv6 addresses, not for ${show(text)}.` }
    if (mode !== undefined && unix.value.startsWith('@'))
      return { message: `${show(text)} is no file: it has no 'mode'.` }
    return { value: [{ kind: 'unix', path: unix.value, ...(mode === undefined ? {} : { mode }) }] }
  }
  if (options.mode !== undefined)
    return { message: `'mode' is for unix sockets, not for ${show(text)}.` }
  if (special) return readInherited(text, options) ?? wrong()

  const split = splitHost(text)
  if ('message' in split) return wrong(split.message)
  const { host: written, port: inAddress } = split.value
  if (inAddress !== undefined && options.port !== undefined) {
    return { message: `${show(text)} has a port already, and 'port' is set, too.` }
  }
  if (typeof options.port === 'number' && !(options.port >= 0))
    return { message: `expected a port from 0 to 65535, got ${options.port}.` }
  const portText = inAddress ?? (options.port === undefined ? undefined : String(options.port))
  if (portText === undefined) return wrong('the port is missing')
  const ports = readPorts(portText)
  if ('message' in ports) return addressHint(text, true) ? wrong() : ports
  const host = readBindHost(written)
  if ('message' in host) return wrong(host.message)
  if (isBareLinkLocal(host.value)) return wrong(NEEDS_SCOPE)
  const isV6 = host.value.includes(':')
  if (options.v6only !== undefined && !isV6) {
    return { message: `'v6only' is for IPv6 addresses, not for ${show(text)}.` }
  }
  const v6only = isV6 ? { v6only: options.v6only ?? false } : {}
  const [first, last] = ports.value
  const value: ListenAddress[] = []
  for (let port = first; port <= last; port++)
    value.push({ kind: 'tcp', host: host.value, port, ...v6only })
  return { value }
}

/** fe80::/10 is on every interface: without one the kernel refuses to bind and to connect. */
const NEEDS_SCOPE = "a link-local address needs its interface: '[fe80::1%eth0]:8080'"

function isBareLinkLocal(host: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(host) && !host.includes('%')
}

/** Reads a server's address. */
export function readServerAddress(text: string): Parsed<WrittenServerAddress> {
  const wrong = (why?: string) => wrongAddress(SERVER, text, why, false)
  const unix = readUnix(text)
  if (unix) return 'message' in unix ? unix : { value: { kind: 'unix', path: unix.value } }
  if (text.startsWith('applet:')) {
    const name = text.slice('applet:'.length)
    return name === '' ? wrong("the applet's name is missing") : { value: { kind: 'applet', name } }
  }
  const split = splitHost(text)
  if ('message' in split) return wrong(split.message)
  const { host, port: portText } = split.value
  if (host === '' || host === '*') return wrong('the host is missing')
  if (portText === undefined) return wrong('the port is missing')
  const port = readServerPort(portText)
  if ('message' in port) return addressHint(text, false) ? wrong() : port
  if (isBareLinkLocal(host)) return wrong(NEEDS_SCOPE)
  if (parseIp(host)) return { value: { kind: 'ip', ip: host, ...port.value } }
  const name = checkHostName(host)
  if (name !== undefined) return wrong(name)
  return { value: { kind: 'host', host, ...port.value } }
}

/** Reads 'ip:port', where names are not possible; 'localhost' is 127.0.0.1. The port may be left out where `defaultPort` is given. */
export function readIpPort(
  text: string,
  defaultPort?: number,
): Parsed<{ ip: string; port: number }> {
  const expected =
    defaultPort === undefined ? "'ip:port' or '[v6]:port'" : "'ip', 'ip:port' or '[v6]:port'"
  const wrong = (why?: string) => wrongAddress(expected, text, why, false)
  const split = splitHost(text)
  if ('message' in split) return wrong(split.message)
  const ip = split.value.host === 'localhost' ? '127.0.0.1' : split.value.host
  if (!parseIp(ip)) return wrong(`${show(ip)} is no IP address`)
  if (isBareLinkLocal(ip)) return wrong(NEEDS_SCOPE)
  if (split.value.port === undefined) {
    return defaultPort === undefined
      ? wrong('the port is missing')
      : { value: { ip, port: defaultPort } }
  }
  const port = readPort(split.value.port, defaultPort ?? 1)
  return 'message' in port ? port : { value: { ip, port: port.value } }
}

function wrongAddress(
  expected: string,
  text: string,
  why: string | undefined,
  portAlone: boolean,
): { message: string; suggestion?: string } {
  const hint = addressHint(text, portAlone)
  const reason = hint?.why ?? why
  return {
    message: `expected ${expected}, got ${show(text)}${reason ? `: ${reason}` : ''}.`,
    ...(hint?.suggestion === undefined ? {} : { suggestion: hint.suggestion }),
  }
}

function readUnix(text: string, platform = process.platform): Parsed<string> | undefined {
  const match = /^unix[:@](.*)$/s.exec(text)
  if (!match) return undefined
  const path = match[1] as string
  if (path.startsWith('//')) return wrongAddress("'unix:/path'", text, undefined, false)
  if (path === '' || path === '@')
    return { message: `expected a path after 'unix:', got ${show(text)}.` }
  if (path.startsWith('@') && platform !== 'linux') {
    return {
      message: `${show(text)} is an abstract socket, which only Linux has; a file of that name is 'unix:./${path}'.`,
    }
  }
  if (path.includes('\0')) return { message: 'the path of a unix socket may not hold a NUL byte.' }
  if (Buffer.byteLength(path) > MAX_UNIX_PATH) {
    return {
      message: `the path of a unix socket has at most ${MAX_UNIX_PATH} bytes, got ${Buffer.byteLength(path)}.`,
    }
  }
  return { value: path }
}

function readInherited(text: string, options: BindOptions): Parsed<ListenAddress[]> | undefined {
  const fd = /^fd@(.*)$/.exec(text)
  if (fd) {
    const number = Number(fd[1])
    if (!/^\d{1,7}$/.test(fd[1] as string))
      return { message: `expected 'fd@N' with a number, got ${show(text)}.` }
    if (number < 3)
      return {
        message: `expected a descriptor from 3 on, got ${show(text)}: 0 to 2 are the standard streams.`,
      }
    return { value: [{ kind: 'fd', fd: number }] }
  }
  const systemd = /^systemd(?:@(.+))?$/.exec(text)
  if (!systemd) return undefined
  const sockets = inheritedSockets(options.env ?? process.env)
  const name = systemd[1]
  const found = name === undefined ? sockets : sockets.filter((socket) => socket.name === name)
  if (found.length > 0) return { value: found.map((socket) => ({ kind: 'fd', fd: socket.fd })) }
  if (options.allowNoSockets) return { value: [] }
  if (sockets.length === 0) {
    return {
      message:
        'systemd passed no sockets (LISTEN_FDS is not set, or LISTEN_PID is another process).',
    }
  }
  const names = sockets.map((socket) => socket.name)
  const suggestion = suggest(name as string, names)
  return {
    message: `systemd passed no socket named ${show(name)}; there is ${[...new Set(names)].map(show).join(', ')}.`,
    ...(suggestion ? { suggestion: `systemd@${suggestion}` } : {}),
  }
}

/** Splits 'host:port', '[v6]:port', or a host alone. An empty host is ''. */
function splitHost(text: string): Parsed<{ host: string; port: string | undefined }> {
  if (/^\s|\s$/.test(text)) return { message: 'there is white space around it' }
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text)
  if (bracketed) {
    const host = bracketed[1] as string
    if (!host.includes(':') || !parseIp(host))
      return { message: `${show(host)} is no IPv6 address` }
    return { value: { host, port: bracketed[2] } }
  }
  const colons = text.split(':').length - 1
  if (colons > 1) {
    if (parseIp(text)) return { value: { host: text, port: undefined } }
    return { message: "an IPv6 address with a port is written '[::1]:8080'" }
  }
  const [host = '', port] = text.split(':')
  return { value: { host, port } }
}

function readBindHost(written: string): Parsed<string> {
  if (written === '' || written === '*') return { value: '0.0.0.0' }
  if (written === 'localhost') return { value: '127.0.0.1' }
  if (parseIp(written)) return { value: written }
  return { message: `${show(written)} is no IP address, and listening is on addresses only` }
}

function readPorts(text: string): Parsed<[number, number]> {
  const match = /^([^-]*)-([^-]*)$/.exec(text)
  const first = readPort(match ? (match[1] as string) : text, match ? 1 : 0)
  if ('message' in first) return first
  const last = match ? readPort(match[2] as string, 1) : first
  if ('message' in last) return last
  if (last.value < first.value) return { message: `the range ${show(text)} ends before it begins.` }
  return { value: [first.value, last.value] }
}

/** A port, or '+0', '+1000', '-1000': from the one that the client came to. */
function readServerPort(text: string): Parsed<{ port: number; offset?: number }> {
  const relative = /^([+-])(\d{1,5})$/.exec(text)
  if (!relative) {
    const port = readPort(text, 1)
    return 'message' in port ? port : { value: { port: port.value } }
  }
  const offset = Number(relative[2])
  if (offset < 65_535) return { value: { port: 0, offset: relative[1] === '-' ? -offset : offset } }
  return { message: `expected an offset of ports below 65535, got ${show(text)}.` }
}

function readPort(text: string, least: number): Parsed<number> {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (port >= least && port <= 65_535) return { value: port }
  return { message: `expected a port from ${least} to 65535, got ${show(text)}.` }
}

function checkHostName(host: string): string | undefined {
  if (host.length > 253) return 'a host name has at most 253 characters'
  // All digits and dots was meant as an IPv4 address, and is not one.
  if (/^[\d.]+$/.test(host)) return `${show(host)} is no IPv4 address`
  return isHostName(normalName(host)) ? undefined : `${show(host)} is no host name`
}
