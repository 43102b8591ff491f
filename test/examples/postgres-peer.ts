/** A scripted PostgreSQL server and client: the wire format of version 3, without a database behind it. */

import type { Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { readStartup } from '#sluice/plugins/postgres-startup.js'
import type { Peer } from '../support/peer.js'
import { serve } from './servers.js'

const int32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** A message with a type byte. */
export function message(type: string, ...body: Buffer[]): Buffer {
  const content = Buffer.concat(body)
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(content.length + 4), content])
}

/** A packet without one: startup, SSLRequest, cancel. */
export function packet(code: number, ...body: Buffer[]): Buffer {
  const content = Buffer.concat(body)
  return Buffer.concat([int32(content.length + 8), int32(code), content])
}

export const PROTOCOL = 196_608
export const sslRequest = packet(80_877_103)
export const gssRequest = packet(80_877_104)
export const cancelRequest = packet(80_877_102, int32(4711), int32(99))

export function startup(parameters: Record<string, string>, code = PROTOCOL): Buffer {
  const text = Object.entries(parameters).flat()
  return packet(code, Buffer.from(`${text.map((part) => `${part}\0`).join('')}\0`))
}

const AUTHENTICATION_OK = message('R', int32(0))
const READY = message('Z', Buffer.from('I'))

const query = (text: string) => message('Q', Buffer.from(`${text}\0`))

/** Lets every user in, and answers every query with one row: the server's name and the database. */
export function servePostgres(t: TestContext, name: string): Promise<number> {
  return serve(t, (socket) => new Backend(socket, name))
}

class Backend {
  readonly #socket: Socket
  readonly #name: string
  #input = Buffer.alloc(0)
  #database: string | undefined

  constructor(socket: Socket, name: string) {
    this.#socket = socket
    this.#name = name
    socket.on('data', (chunk) => {
      this.#input = Buffer.concat([this.#input, chunk])
      while (this.#next()) {}
    })
    socket.on('end', () => socket.end())
  }

  #next(): boolean {
    if (this.#database === undefined) return this.#start()
    if (this.#input.length < 5) return false
    const end = 1 + this.#input.readInt32BE(1)
    if (this.#input.length < end) return false
    const type = this.#input.toString('latin1', 0, 1)
    this.#input = this.#input.subarray(end)
    if (type === 'X') this.#socket.end()
    else if (type === 'Q') this.#answer(`${this.#name} ${this.#database}`)
    return true
  }

  #start(): boolean {
    const packet = readStartup(this.#input)
    if (packet.kind === 'more') return false
    if (packet.kind !== 'startup') {
      this.#socket.destroy()
      return false
    }
    this.#database = packet.database
    this.#input = this.#input.subarray(this.#input.readInt32BE(0))
    this.#socket.write(Buffer.concat([AUTHENTICATION_OK, READY]))
    return true
  }

  #answer(text: string): void {
    // One column of type text (25), in text format.
    const column = Buffer.concat([
      Buffer.from('\0\x01answer\0'),
      int32(0),
      Buffer.from([0, 0]),
      int32(25),
      Buffer.from([0xff, 0xff]),
      int32(-1),
      Buffer.from([0, 0]),
    ])
    const value = Buffer.from(text)
    this.#socket.write(
      Buffer.concat([
        message('T', column),
        message('D', Buffer.from([0, 1]), int32(value.length), value),
        message('C', Buffer.from('SELECT 1\0')),
        READY,
      ]),
    )
  }
}

/** The next message from a server: its type and body. */
export async function nextMessage(client: Peer): Promise<{ type: string; body: Buffer }> {
  const head = await client.read(5)
  const body = await client.read(head.readInt32BE(1) - 4)
  return { type: head.toString('latin1', 0, 1), body }
}

/** Waits for ReadyForQuery, asks, and gives the one value of the answer. */
export async function ask(client: Peer, text: string): Promise<string> {
  await untilReady(client)
  await client.send(query(text))
  const value = (await untilReady(client)).find(({ type }) => type === 'D')
  return value?.body.toString('utf8', 6) ?? ''
}

async function untilReady(client: Peer): Promise<{ type: string; body: Buffer }[]> {
  const messages: { type: string; body: Buffer }[] = []
  while (messages.at(-1)?.type !== 'Z') messages.push(await nextMessage(client))
  return messages
}

/** Fields of an ErrorResponse by their letter. */
export function errorFields(body: Buffer): Record<string, string> {
  const fields = body.toString('utf8').split('\0').filter(Boolean)
  return Object.fromEntries(fields.map((field) => [field.slice(0, 1), field.slice(1)]))
}
