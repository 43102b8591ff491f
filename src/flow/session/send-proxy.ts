/** What a PROXY v2 header to a server tells beside the addresses. */

import type { Server } from '../../backend/backend.js'
import { encodeProxySsl, encodeTlv, TlvType, tlvEnd } from '../../codec/proxy.js'
import type { SessionClient } from './client.js'

const encoder = new TextEncoder()
/** Of a header's 65535 bytes: what addresses, ports and the checksum leave. */
const MOST_BYTES = 65_535 - 36 - 7
/** Of a header alone: another one has its own checksum, and padding is padding. */
const NEVER_HANDED_ON: readonly number[] = [TlvType.CRC32C, TlvType.NOOP]

/** Encoded TLVs for the header to `server`; undefined for none, or where it has no place for them. */
export function tlvsFor(client: SessionClient, server: Server): Uint8Array | undefined {
  const { sendProxy } = server.config
  if (sendProxy === undefined || sendProxy.version === 1) return undefined
  const { tlvs: handsOn } = sendProxy
  const received = client.tlvBytes
  if (handsOn === false || received === undefined) return joined(ownTlvs(client, sendProxy, false))
  const own = ownTlvs(client, sendProxy, true)
  const replaced = new Set([...NEVER_HANDED_ON, ...own.map(([type]) => type as number)])
  const handed = tlvsOf(received).filter(
    ([type]) =>
      !replaced.has(type as number) && (handsOn === true || handsOn.includes(type as number)),
  )
  const all = joined([...handed, ...own])
  if (all === undefined || all.length <= MOST_BYTES) return all
  client.failed(
    'warn',
    { server: server.name, bytes: all.length },
    'TLVs do not fit, not handed on',
  )
  return joined(own)
}

/** Ours. `mayYield`: what we know nothing of is left to the header that came in. */
function ownTlvs(
  client: SessionClient,
  { uniqueId, authority, ssl, sslCn }: NonNullable<Server['config']['sendProxy']>,
  mayYield: boolean,
): Uint8Array[] {
  const own: Uint8Array[] = []
  const name = authority ? client.hello?.serverName : undefined
  if (name) own.push(encodeTlv(TlvType.AUTHORITY, encoder.encode(name)))
  if (uniqueId) own.push(encodeTlv(TlvType.UNIQUE_ID, encoder.encode(client.id)))
  const yields = mayYield && client.tls === undefined && client.proxyTlvs.has(TlvType.SSL)
  if (ssl && !yields) own.push(encodeProxySsl(client.tls, sslCn))
  return own
}

/** Each with its head; one that is cut short ends the list. */
function tlvsOf(bytes: Uint8Array): Uint8Array[] {
  const tlvs: Uint8Array[] = []
  for (let at = 0, end = tlvEnd(bytes, 0); end >= 0; at = end, end = tlvEnd(bytes, at)) {
    tlvs.push(bytes.subarray(at, end))
  }
  return tlvs
}

function joined(tlvs: readonly Uint8Array[]): Uint8Array | undefined {
  return tlvs.length < 2 ? tlvs[0] : Buffer.concat(tlvs)
}
