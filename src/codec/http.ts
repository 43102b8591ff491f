/** What other layers use of HTTP/1.1: the same codec as crates/http, with the same vectors. */

export { Bad, badStatus } from './http/bad.js'
export { Chunks, type Piece } from './http/chunks.js'
export { checkEdit, type Edit, type EditError } from './http/edits.js'
export { HeadFacts } from './http/facts.js'
export type { Field } from './http/fields.js'
export {
  EditRefused,
  formatRequest,
  formatResponse,
  HeadTooLong,
  type Outgoing,
  type Stamp,
} from './http/format.js'
export type { Body, Version } from './http/framing.js'
export { HeadHeaders } from './http/headers.js'
export {
  CHUNK_LIMITS,
  type ChunkLimits,
  HEAD_LIMITS,
  type HeadLimits,
  MOST_FIELDS,
} from './http/limits.js'
export { encodeProgram, ProgramTooLong } from './http/program.js'
export { type Form, parseRequest, type RequestHead } from './http/request.js'
export { type Asked, parseResponse, type ResponseHead } from './http/response.js'
export { HeadScan } from './http/scan.js'
