/** Builds TLS ClientHello messages, right ones and wrong ones. */

const vector = (lengthBytes: 1 | 2 | 3, content: Buffer) => {
  const length = Buffer.alloc(lengthBytes)
  length.writeUIntBE(content.length, 0, lengthBytes)
  return Buffer.concat([length, content])
}

export const u16 = (value: number) => Buffer.from([value >> 8, value & 255])

export interface Extension {
  type: number
  body: Buffer
}

/** The server_name extension with these entries. */
export function serverName(...names: (string | { type: number; name: string })[]): Extension {
  const entries = names.map((entry) => {
    const { type, name } = typeof entry === 'string' ? { type: 0, name: entry } : entry
    return Buffer.concat([Buffer.from([type]), vector(2, Buffer.from(name, 'latin1'))])
  })
  return { type: 0, body: vector(2, Buffer.concat(entries)) }
}

/** GREASE values (RFC 8701), as browsers put them first and last. */
export const grease = (n: number): Extension => ({
  type: 0x0a0a + n * 0x1010,
  body: n % 2 ? Buffer.from([0]) : Buffer.alloc(0),
})

export interface HelloOptions {
  extensions?: Extension[] | undefined
  sessionId?: Buffer
  ciphers?: Buffer
  compression?: Buffer
  /** Replaces everything behind the compression methods. */
  tail?: Buffer
  type?: number
}

/** The handshake message, with its header. Without `extensions` the field is absent. */
export function clientHello(options: HelloOptions = {}): Buffer {
  const extensions = options.extensions?.map(({ type, body }) =>
    Buffer.concat([u16(type), vector(2, body)]),
  )
  const tail = options.tail ?? (extensions ? vector(2, Buffer.concat(extensions)) : Buffer.alloc(0))
  const body = Buffer.concat([
    u16(0x0303),
    Buffer.alloc(32, 0x5a),
    vector(1, options.sessionId ?? Buffer.alloc(32, 7)),
    vector(2, options.ciphers ?? Buffer.from('0a0a130113021303', 'hex')),
    vector(1, options.compression ?? Buffer.from([0])),
    tail,
  ])
  return Buffer.concat([Buffer.from([options.type ?? 1]), vector(3, body)])
}

/** Puts a message into handshake records of at most `size` bytes. */
export function records(message: Buffer, size = 16_384, version = 0x0301): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size)
    parts.push(Buffer.concat([Buffer.from([22]), u16(version), vector(2, part)]))
  }
  return Buffer.concat(parts)
}

/** What a browser sends for a name. */
export function helloFor(name: string): Buffer {
  return records(clientHello({ extensions: [grease(1), serverName(name), grease(4)] }))
}

/** An extension that is a list of 16-bit numbers: 10 has groups, 13 signature schemes. */
export function numbers(type: number, ...values: number[]): Extension {
  return { type, body: vector(2, Buffer.concat(values.map(u16))) }
}

/** The supported_versions extension. */
export function versions(...values: number[]): Extension {
  return { type: 43, body: vector(1, Buffer.concat(values.map(u16))) }
}

/** The ALPN extension; one byte a character. */
export function alpn(...names: string[]): Extension {
  const entries = names.map((name) => vector(1, Buffer.from(name, 'latin1')))
  return { type: 16, body: vector(2, Buffer.concat(entries)) }
}
