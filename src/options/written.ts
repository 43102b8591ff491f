/**
 * The configuration as users write it. Generated from the options declared in
 * this folder by `npm run generate`. Do not edit.
 */

import type { Duration } from '../base/units.js'

export interface TableConfig {
  /** Type of the key. */
  key: TableKeyType
  /** Most entries; the least recently used one goes first. */
  size: number
  /** An entry that is not touched for this long is forgotten. Default never. */
  expire?: Duration
  /** Longest string or binary key in bytes; longer ones are cut. Default 32. */
  keyLength?: number
  /** What is kept for each key. Rates name their window. Default: nothing but the key. */
  store?: {
    /** Connections now. Default false. */
    connCur?: boolean
    /** Connections so far. Default false. */
    connCnt?: boolean
    /** Connections within this window. Default off. */
    connRate?: Duration
    /** Sessions so far. Default false. */
    sessCnt?: boolean
    /** Sessions within this window. Default off. */
    sessRate?: Duration
    /** Bytes from clients. Default false. */
    bytesInCnt?: boolean
    /** Bytes to clients. Default false. */
    bytesOutCnt?: boolean
    /** Bytes from clients within this window. Default off. */
    bytesInRate?: Duration
    /** Bytes to clients within this window. Default off. */
    bytesOutRate?: Duration
    /** First general-purpose counter. Default false. */
    gpc0?: boolean
    /** Second general-purpose counter. Default false. */
    gpc1?: boolean
    /** Increments of gpc0 within this window. Default off. */
    gpc0Rate?: Duration
    /** General-purpose tag. Default false. */
    gpt0?: boolean
    /** The server that a key sticks to. Default false. */
    serverId?: boolean
  }
}

export type TableKeyType = 'ip' | 'ipv6' | 'integer' | 'string' | 'binary'
