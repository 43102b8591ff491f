/** What `sluice run` prints when it listens. */

import { formatHostPort } from '../address/text.js'
import type { ResolvedConfig } from '../config/resolved.js'
import type { ListenAddresses } from '../policy/live.js'
import type { SluiceProxy } from '../proxy/proxy.js'
import { packageVersion } from './version.js'

type Address = ListenAddresses[string][number]

/** Lines with the engine, the addresses and something to try. Precondition: the proxy runs. */
export function banner(
  proxy: SluiceProxy,
  config: ResolvedConfig,
  file: string,
  tryIt: string | undefined,
): string[] {
  const { engineKind, addresses } = proxy
  const threads = config.workers === 1 ? '1 worker' : `${config.workers} workers`
  const engine = engineKind === 'native' ? `native engine, ${threads}` : `${engineKind} engine`
  const lines = [`sluice ${packageVersion()}: ${file}, ${engine}, pid ${process.pid}`]
  for (const { name, backend, binds } of config.frontends) {
    const rest = binds.every((bind) => bind.health) ? 'OK, for health checks' : 'by policy'
    for (const address of formatAddresses(addresses[name] ?? [])) {
      lines.push(`  ${name} listens on ${address} > ${backend ?? rest}`)
    }
  }
  if (config.log.file !== undefined) lines.push(`  log: ${config.log.file}`)
  if (tryIt !== undefined) lines.push(`  try: ${tryIt}`)
  return lines
}

/** Addresses in a line of status; systemd shows it in one line. */
const MOST_SHOWN = 8

/** The banner in one line, for the service manager: engine and addresses. */
export function statusLine([head = '', ...rest]: readonly string[]): string {
  const listens = rest.filter((line) => line.includes(' listens on '))
  const more = listens.length - MOST_SHOWN
  const shown = listens.slice(0, MOST_SHOWN).map((line) => line.trim())
  return [head, ...shown, ...(more > 0 ? [`${more} more`] : [])].join(', ')
}

/** Addresses as text; a run of ports on one host is one range. */
export function formatAddresses(addresses: readonly Address[]): string[] {
  const lines: string[] = []
  for (let i = 0; i < addresses.length; i++) {
    const first = addresses[i] as Address
    if (first.family === 'unix') {
      lines.push(`unix:${first.address}`)
      continue
    }
    let last = first
    for (let next = addresses[i + 1]; next; next = addresses[i + 1]) {
      if (next.address !== first.address || next.port !== last.port + 1) break
      last = next
      i++
    }
    const range = last === first ? '' : `-${last.port}`
    lines.push(`${formatHostPort(first.address, first.port)}${range}`)
  }
  return lines
}
