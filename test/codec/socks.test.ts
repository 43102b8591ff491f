/** The SOCKS client on the vectors that are shared with the Rust codec, split at every byte. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { checkSocksRequest, SocksClient, type SocksRequest } from '#sluice/codec/socks.js'
import { Code } from '#sluice/wire/wire.js'
import { fromHex, readVectors, toHex } from './vectors.js'

const codes: Record<string, number> = {
  malformed: Code.SOCKS_MALFORMED,
  'no-method': Code.SOCKS_NO_METHOD,
  auth: Code.SOCKS_AUTH,
  address: Code.BAD_ADDRESS,
  refused: Code.SOCKS_REFUSED,
}

interface Outcome {
  sent: string
  result: string
}

describe('SOCKS conversations', () => {
  for (const fields of readVectors('socks.txt')) {
    const [name, version, user, password, host, port, server, client, kind, detail] = fields
    test(name as string, () => {
      const request: SocksRequest = {
        version: Number(version) as 4 | 5,
        host: host as string,
        port: Number(port),
        ...(user === '-' ? {} : { user: fromHex(user).toString() }),
        ...(password === '-' ? {} : { password: fromHex(password).toString() }),
      }
      const code = codes[(detail ?? '').split(':')[0] as string]
      const result =
        kind === 'error' ? `error ${code}` : kind === 'done' ? `done ${detail}` : 'more'
      const expected: Outcome = { sent: client as string, result }
      const bytes = fromHex(server)
      for (let cut = 0; cut <= bytes.length; cut++) {
        const pieces = [bytes.subarray(0, cut), bytes.subarray(cut)]
        assert.deepEqual(converse(request, pieces), expected, `split at ${cut}`)
      }
      const single = [...bytes].map((byte) => Buffer.of(byte))
      assert.deepEqual(converse(request, single), expected, 'one byte at a time')
    })
  }
})

/** Runs a conversation in which the proxy sends `pieces`. */
function converse(request: SocksRequest, pieces: Uint8Array[]): Outcome {
  const impossible = checkSocksRequest(request)
  if (impossible !== 0) return { sent: '-', result: `error ${impossible}` }
  const socks = new SocksClient(request)
  const sent: Uint8Array[] = [socks.start()]
  for (const [i, piece] of pieces.entries()) {
    const step = socks.push(piece)
    if (step.send) sent.push(step.send)
    if (step.status === 'more') {
      assert.equal(step.used, piece.length)
    } else if (step.status === 'error') {
      return { sent: toHex(Buffer.concat(sent)), result: `error ${step.code}` }
    } else {
      const rest = Buffer.concat([piece.subarray(step.used), ...pieces.slice(i + 1)])
      return { sent: toHex(Buffer.concat(sent)), result: `done ${toHex(rest)}` }
    }
  }
  return { sent: toHex(Buffer.concat(sent)), result: 'more' }
}
