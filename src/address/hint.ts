/** What was probably meant by an address that is none: ways to write them elsewhere. */

import { show } from '../base/units.js'
import { parseIp } from './parse.js'

interface Hint {
  why: string
  suggestion?: string
}

/** Undefined where nobody knows. `portAlone`: an address may be a port, as those of binds are. */
export function addressHint(text: string, portAlone: boolean): Hint | undefined {
  return (
    ofUrl(text) ??
    ofPrefix(text) ??
    ofList(text) ??
    ofPath(text) ??
    ofIpv6(text) ??
    (portAlone ? undefined : ofRange(text)) ??
    (portAlone && /^\d{1,5}$/.test(text)
      ? { why: 'a port alone is written with a colon', suggestion: `:${text}` }
      : undefined)
  )
}

const SCHEME_PORTS: Record<string, number> = { http: 80, https: 443, ws: 80, wss: 443 }

function ofUrl(text: string): Hint | undefined {
  const match = /^([a-z][a-z0-9+.-]*):\/\/([^/?#\s]*)(\S*)$/i.exec(text)
  if (!match) return undefined
  const [, written = '', authority = '', path = ''] = match
  const scheme = written.toLowerCase()
  if (scheme === 'unix') return { why: 'there is no //', suggestion: `unix:${authority}${path}` }
  const port = SCHEME_PORTS[scheme]
  const host = authority.replace(/^.*@/, '')
  const hasPort = /:\d+$/.test(host)
  const suggestion = host !== '' && !hasPort && port !== undefined ? `${host}:${port}` : host
  const secure = ['https', 'wss', 'tls', 'ssl'].includes(scheme) ? "; TLS is the option 'tls'" : ''
  const rest = path.length > 1 ? ', and no path: requests are not looked at' : ''
  return {
    why: `an address has no ${show(`${scheme}://`)}${rest}${secure}`,
    ...(suggestion === '' ? {} : { suggestion }),
  }
}

/** HAProxy: 'ipv4@', 'abns@'; others: 'tcp:'. */
function ofPrefix(text: string): Hint | undefined {
  const match = /^(ipv4|ipv6|tcp[46]?|udp[46]?|quic[46]?|abnsz?)[@:](?!$)(.+)$/i.exec(text)
  if (!match) return undefined
  const [, prefix = '', rest = ''] = match
  const kind = prefix.toLowerCase()
  if (kind.startsWith('abns'))
    return { why: 'an abstract socket has an @ before its name', suggestion: `unix:@${rest}` }
  if (/^(udp|quic)/.test(kind)) return { why: 'only TCP and unix sockets are proxied' }
  return { why: `an address has no ${show(text.slice(0, prefix.length + 1))}`, suggestion: rest }
}

function ofList(text: string): Hint | undefined {
  if (/\S\s*,\s*\S/.test(text))
    return { why: "several addresses are a list: ['127.0.0.1:80', '[::1]:80']" }
  // nginx: 'listen 127.0.0.1:80 ssl'; HAProxy: 'server a 127.0.0.1:80 check'.
  if (/\S\s+\S/.test(text))
    return { why: "options stand beside it: { address: '127.0.0.1:80', ... }" }
  return undefined
}

function ofPath(text: string): Hint | undefined {
  if (!/^(\/|\.\.?\/)/.test(text)) return undefined
  return { why: 'the path of a unix socket comes behind unix:', suggestion: `unix:${text}` }
}

/** A server at the ports of a bind's range. */
function ofRange(text: string): Hint | undefined {
  const match = /^(.*):\d{1,5}-\d{1,5}$/.exec(text)
  if (!match) return undefined
  const why =
    "a server has one port; ':+0' is the port that the client came to, ':+1000' 1000 above"
  return { why, suggestion: `${match[1]}:+0` }
}

/** '::1:80' is an address without a port; what was meant had one. */
function ofIpv6(text: string): Hint | undefined {
  const match = /^\[?(.*:.*)\]?:(\d{1,5})$/.exec(text)
  if (!match || text.startsWith('[') || text.split(':').length <= 2) return undefined
  const [, host = '', port = ''] = match
  if (!parseIp(host) || Number(port) > 65_535) return undefined
  const whole = parseIp(text) ? `${show(text)} is an IPv6 address as a whole, without a port; ` : ''
  return {
    why: `${whole}with a port, brackets are around the address`,
    suggestion: `[${host}]:${port}`,
  }
}
