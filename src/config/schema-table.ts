/** Schema of stick tables. */

import { defaults } from './defaults.js'
import { duration, flag, integer, object, oneOf, optional, required } from './fields.js'
import type { TableConfig } from './types.js'

const window = duration(1)
export const table = object<TableConfig>({
  key: required(oneOf('ip', 'ipv6', 'integer', 'string', 'binary'), 'Type of the key.', "'ip'"),
  size: required(
    integer(1, 2 ** 24),
    'Most entries; the least recently used one goes first.',
    '100_000',
  ),
  expire: optional(
    duration(1),
    'An entry that is not touched for this long is forgotten.',
    'never',
    "'10m'",
  ),
  keyLength: optional(
    integer(1, 4096),
    'Longest string or binary key in bytes; longer ones are cut.',
    defaults.keyLength,
  ),
  store: optional(
    object<NonNullable<TableConfig['store']>>({
      connCur: optional(flag, 'Connections now.', false),
      connCnt: optional(flag, 'Connections so far.', false),
      connRate: optional(window, 'Connections within this window.', 'off', "'10s'"),
      sessCnt: optional(flag, 'Sessions so far.', false),
      sessRate: optional(window, 'Sessions within this window.', 'off'),
      bytesInCnt: optional(flag, 'Bytes from clients.', false),
      bytesOutCnt: optional(flag, 'Bytes to clients.', false),
      bytesInRate: optional(window, 'Bytes from clients within this window.', 'off'),
      bytesOutRate: optional(window, 'Bytes to clients within this window.', 'off'),
      gpc0: optional(flag, 'First general-purpose counter.', false),
      gpc1: optional(flag, 'Second general-purpose counter.', false),
      gpc0Rate: optional(window, 'Increments of gpc0 within this window.', 'off'),
      gpt0: optional(flag, 'General-purpose tag.', false),
      serverId: optional(flag, 'The server that a key sticks to.', false),
    }),
    'What is kept for each key. Rates name their window.',
    'nothing but the key',
    "{ connRate: '10s', connCur: true }",
  ),
})
