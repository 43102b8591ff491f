/** Stick tables: from the configuration to what the tables are made of. */

import { type Checked, type Context, ms } from './context.js'
import { defaults } from './defaults.js'
import type { ResolvedTable } from './resolved.js'
import type { TableConfig } from './types.js'

export function resolveTable(
  name: string,
  table: Checked<TableConfig>,
  context: Context,
): ResolvedTable {
  const { key = 'ip', keyLength, store = {} } = table
  if (keyLength !== undefined && key !== 'string' && key !== 'binary' && table.key !== undefined) {
    context.issues.add(
      ['tables', name, 'keyLength'],
      `is for keys of type 'string' or 'binary', not '${key}'.`,
    )
  }
  if (store.gpc0Rate !== undefined && store.gpc0 === false) {
    context.issues.add(['tables', name, 'store', 'gpc0Rate'], 'needs gpc0, which is false.')
  }
  return {
    name,
    key,
    size: table.size ?? 1,
    expire: ms(table.expire) ?? 0,
    keyLength: keyLength ?? defaults.keyLength,
    store: {
      connCur: store.connCur ?? false,
      connCnt: store.connCnt ?? false,
      connRate: ms(store.connRate) ?? 0,
      sessCnt: store.sessCnt ?? false,
      sessRate: ms(store.sessRate) ?? 0,
      bytesInCnt: store.bytesInCnt ?? false,
      bytesOutCnt: store.bytesOutCnt ?? false,
      bytesInRate: ms(store.bytesInRate) ?? 0,
      bytesOutRate: ms(store.bytesOutRate) ?? 0,
      gpc0: store.gpc0 ?? false,
      gpc1: store.gpc1 ?? false,
      gpc0Rate: ms(store.gpc0Rate) ?? 0,
      gpt0: store.gpt0 ?? false,
      serverId: store.serverId ?? false,
    },
  }
}
