/** Stick tables: what needs more than one option to be judged. */

import type { Checked } from '../options/section.js'
import { type ResolvedTable, table as tableOptions } from '../options/table.js'
import type { TableConfig } from '../options/written.js'
import { handleOf } from '../tables/handle.js'
import type { Context } from './context.js'

export function resolveTable(
  name: string,
  table: Checked<TableConfig>,
  context: Context,
): ResolvedTable {
  const { key, keyLength, store } = table
  if (keyLength !== undefined && key !== undefined && key !== 'string' && key !== 'binary') {
    context.issues.add(
      ['tables', name, 'keyLength'],
      `is for keys of type 'string' or 'binary', not '${key}'.`,
    )
  }
  if (store?.gpc0Rate !== undefined && store.gpc0 === false) {
    context.issues.add(['tables', name, 'store', 'gpc0Rate'], 'needs gpc0, which is false.')
  }
  const handle = handleOf(table)
  const [first] = Object.entries(context.config.tables ?? {}).find(([, one]) => one === table) ?? []
  if (handle !== undefined && first !== undefined && first !== name) {
    context.issues.add(
      ['tables', name],
      `is the same handle as tables.${first}: one handle is one table.`,
    )
  }
  return { name, ...tableOptions.resolve(table), ...(handle && { handle }) }
}
