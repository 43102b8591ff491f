/** What a message may be at most. */

export interface HeadLimits {
  /** Bytes of a head, the empty line included. At most 65535. */
  readonly head: number
  /** Bytes of the first line, without its end. */
  readonly line: number
  /** Fields of a head. At most MOST_FIELDS. */
  readonly fields: number
}

/** More fields than this are in no index, whatever the limits say. */
export const MOST_FIELDS = 256

export const HEAD_LIMITS: HeadLimits = { head: 16_384, line: 8_192, fields: 100 }

export interface ChunkLimits {
  /** Bytes of a chunk's size line, with its extension. */
  readonly line: number
  /** Bytes of the trailer section. */
  readonly trailers: number
}

export const CHUNK_LIMITS: ChunkLimits = { line: 256, trailers: 4_096 }
