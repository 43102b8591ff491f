import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeTlv, parseTlvs } from '#sluice/codec/proxy/tlv.js'
import {
  decodeCloseOps,
  decodeFlags,
  decodeHandshakes,
  decodeReason,
  decodeSession,
} from '#sluice/wire/decode.js'
import {
  formatReason,
  packReason,
  reasonBy,
  reasonCode,
  reasonPhase,
  unpackReason,
  withPhase,
} from '#sluice/wire/reason.js'
import { ConnectionTable } from '#sluice/wire/table.js'
import {
  By,
  ByLabels,
  CloseOp,
  Code,
  CodeLabels,
  ConnFlag,
  Field,
  Handshake,
  Layout,
  Phase,
  PhaseLabels,
} from '#sluice/wire/wire.js'

test('every reason survives packing', () => {
  for (const by of Object.values(By)) {
    for (const phase of Object.values(Phase)) {
      for (const code of Object.values(Code)) {
        const word = packReason(by, phase, code)
        assert.deepEqual([reasonBy(word), reasonPhase(word), reasonCode(word)], [by, phase, code])
        assert.deepEqual(unpackReason(word), {
          by: ByLabels[by],
          phase: PhaseLabels[phase],
          code: CodeLabels[code],
        })
      }
    }
  }
  // As crates/wire/src/errors.rs packs it.
  assert.equal(packReason(2, 11, 4), 2 | (11 << 4) | (4 << 12))
})

test('a reason at another phase', () => {
  const word = withPhase(packReason(By.CLIENT, Phase.CONNECT, Code.RESET), Phase.QUEUE)
  assert.equal(formatReason(word), 'client/queue/reset')
})

test('flag words in words', () => {
  assert.equal(decodeFlags(0), '-')
  assert.equal(
    decodeFlags(ConnFlag.SHR | ConnFlag.CTRL_CONNECTED | ConnFlag.PROXY_IN_STARTED),
    'SHR CTRL_CONNECTED PROXY_IN=completed',
  )
  assert.equal(
    decodeFlags(ConnFlag.SOCKS_STARTED | ConnFlag.SOCKS_PENDING | ConnFlag.LAST_CHUNK_PENDING),
    'SOCKS=started LAST_CHUNK=wanted',
  )
  assert.equal(decodeFlags(1 << 30), '0x40000000')
})

test('a session in words: both connections, and what waits in each direction', () => {
  const table = new ConnectionTable(new Int32Array(2 * Layout.CONNECTION_WORDS))
  table.set(0, Field.PEER, -1)
  assert.match(decodeSession(table, 0), /^rq=- rp=- client=\[conn=0\.0 .*\] server=\[-\]$/)
  table.set(0, Field.PEER, 1)
  table.set(0, Field.FLAGS, ConnFlag.HELD_BACK)
  table.set(1, Field.FLAGS, ConnFlag.SHR)
  assert.match(
    decodeSession(table, 0),
    /^rq=blocked rp=shut client=\[conn=0\.0 .*flags=\[HELD_BACK\].*\] server=\[conn=1\.0 .*flags=\[SHR\].*\]$/,
  )
})

test('close operations, handshakes and reasons in words', () => {
  assert.equal(decodeCloseOps(0), '-')
  assert.equal(
    decodeCloseOps(CloseOp.DSHW | CloseOp.DSHW_DONE | CloseOp.CSHR),
    'DSHW:done CSHR:wanted',
  )
  assert.equal(decodeHandshakes(Handshake.ACCEPT_PROXY | Handshake.TLS), 'ACCEPT_PROXY TLS')
  assert.equal(decodeReason(0), '-')
  assert.equal(
    decodeReason(packReason(By.SERVER, Phase.CONNECT, Code.REFUSED)),
    'server/connect/refused',
  )
})

test('TLVs are encoded and parsed; a truncated one ends the list', () => {
  const value = new TextEncoder().encode('abc')
  const one = encodeTlv(5, value)
  assert.deepEqual([...one], [5, 0, 3, 97, 98, 99])
  const two = Uint8Array.from([...one, ...encodeTlv(6, new Uint8Array(300)), 7, 0, 9, 1])
  const parsed = parseTlvs(two)
  assert.deepEqual([...parsed.keys()], [5, 6])
  assert.equal(parsed.get(6)?.length, 300)
})
