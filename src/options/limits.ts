/** Connections at once, and what bounds them. */

import { integer } from './type.js'

/** Largest whole number of a configuration. */
export const MAX = 2 ** 31 - 1
/** Most that can be configured. Each takes two records of the engine's table, in each worker. */
export const MOST_CONNECTIONS = 2 ** 22
/** Most of `maxconn` times `workers`: a table is one array, whose length has a limit. */
export const MOST_RECORDS = 2 ** 26
/** Connections at once are never more than this by default, whatever the fd limit says. */
export const MAX_DEFAULT_MAXCONN = 65_536

export const connections = integer(1, MAX)
