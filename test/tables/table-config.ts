import type { ResolvedTable } from '#sluice/config/resolved.js'

export const storeNothing: ResolvedTable['store'] = {
  connCur: false,
  connCnt: false,
  connRate: 0,
  sessCnt: false,
  sessRate: 0,
  bytesInCnt: false,
  bytesOutCnt: false,
  bytesInRate: 0,
  bytesOutRate: 0,
  gpc0: false,
  gpc1: false,
  gpc0Rate: 0,
  gpt0: false,
  serverId: false,
}

export const storeAll: ResolvedTable['store'] = {
  connCur: true,
  connCnt: true,
  connRate: 1000,
  sessCnt: true,
  sessRate: 2000,
  bytesInCnt: true,
  bytesOutCnt: true,
  bytesInRate: 4000,
  bytesOutRate: 8000,
  gpc0: true,
  gpc1: true,
  gpc0Rate: 10_000,
  gpt0: true,
  serverId: true,
}

export function tableConfig(changes: Partial<ResolvedTable> = {}): ResolvedTable {
  return { name: 't', key: 'ip', size: 100, expire: 0, keyLength: 32, store: storeAll, ...changes }
}
