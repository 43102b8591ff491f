/**
 * The first packet of a PostgreSQL client, version 3 of the protocol
 * (postgresql.org/docs/current/protocol-message-formats.html), and the error
 * that a server would answer with.
 */

export type Startup =
  /** The packet is not complete yet. */
  | { kind: 'more' }
  /** The client asks for TLS or GSSAPI encryption, and waits for one byte: 'N' means no. */
  | { kind: 'encryption'; wants: 'tls' | 'gssapi'; length: number }
  /** Another connection's query is to be cancelled. */
  | { kind: 'cancel'; processId: number }
  | { kind: 'startup'; user: string; database: string; parameters: ReadonlyMap<string, string> }
  | { kind: 'invalid'; why: string }

const SSL_REQUEST = 80_877_103
const GSSENC_REQUEST = 80_877_104
const CANCEL_REQUEST = 80_877_102
const PROTOCOL_3 = 3
const HEADER = 8
/** MAX_STARTUP_PACKET_LENGTH of the server. */
export const MAX_STARTUP = 10_000

const utf8 = new TextDecoder('utf-8')

/** Reads the packet that begins at the first byte. */
export function readStartup(bytes: Uint8Array): Startup {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 4) return { kind: 'more' }
  const length = view.getInt32(0)
  if (length < HEADER || length > MAX_STARTUP) return invalid(`packet of ${length} bytes`)
  if (bytes.length < HEADER) return { kind: 'more' }
  const code = view.getInt32(4)
  if (code === SSL_REQUEST || code === GSSENC_REQUEST) {
    if (length !== HEADER) return invalid(`encryption request of ${length} bytes`)
    return { kind: 'encryption', wants: code === SSL_REQUEST ? 'tls' : 'gssapi', length }
  }
  const isCancel = code === CANCEL_REQUEST
  // Both have more behind the header: told at once, so that nobody waits for the rest.
  if (!isCancel && code >>> 16 !== PROTOCOL_3) return invalid(`protocol ${code >>> 16}`)
  if (isCancel && length < HEADER + 8) return invalid(`cancel request of ${length} bytes`)
  if (bytes.length < length) return { kind: 'more' }
  if (isCancel) return { kind: 'cancel', processId: view.getInt32(HEADER) }
  return readParameters(bytes.subarray(HEADER, length))
}

/** Names and values, each ended by a zero, and a zero behind the last. */
function readParameters(bytes: Uint8Array): Startup {
  const parameters = new Map<string, string>()
  let at = 0
  const text = () => {
    const end = bytes.indexOf(0, at)
    if (end < 0) return undefined
    const value = utf8.decode(bytes.subarray(at, end))
    at = end + 1
    return value
  }
  for (;;) {
    const name = text()
    if (name === undefined) return invalid('parameters without an end')
    if (name === '') break
    const value = text()
    if (value === undefined) return invalid(`parameter ${name} without a value`)
    parameters.set(name, value)
  }
  if (at !== bytes.length) return invalid(`${bytes.length - at} bytes behind the parameters`)
  const user = parameters.get('user')
  if (!user) return invalid('no user')
  return { kind: 'startup', user, database: parameters.get('database') || user, parameters }
}

function invalid(why: string): Startup {
  return { kind: 'invalid', why }
}

/** An ErrorResponse of severity FATAL. `sqlState`: five characters, such as '3D000'. */
export function errorResponse(sqlState: string, message: string): Uint8Array {
  const fields = `SFATAL\0VFATAL\0C${sqlState}\0M${message}\0\0`
  const body = new TextEncoder().encode(fields)
  const packet = new Uint8Array(1 + 4 + body.length)
  packet[0] = 0x45 // 'E'
  new DataView(packet.buffer).setInt32(1, 4 + body.length)
  packet.set(body, 5)
  return packet
}
