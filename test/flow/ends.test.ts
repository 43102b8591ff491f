import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveConfig } from '#sluice/config/resolve.js'
import { Frontend } from '#sluice/flow/frontend.js'
import { formatReason, packReason } from '#sluice/wire/reason.js'
import { reasonText } from '#sluice/wire/reason-text.js'
import { By, Code, Phase } from '#sluice/wire/wire.js'

function frontend(): Frontend {
  const { frontends } = resolveConfig({
    frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
    backends: { app: { servers: { a: '127.0.0.1:1' } } },
  })
  return new Frontend(frontends[0] as (typeof frontends)[number], undefined, 5000)
}

const reasons = Object.values(By).flatMap((by) =>
  Object.values(Phase).flatMap((phase) =>
    Object.values(Code).map((code) => packReason(by, phase, code)),
  ),
)

test('every reason has a count of its own', () => {
  const web = frontend()
  const expected: Record<string, number> = {}
  for (const [i, reason] of reasons.entries()) {
    const times = 1 + (i % 3)
    for (let n = 0; n < times; n++) web.countEnd(reason)
    expected[formatReason(reason)] = times
  }
  assert.deepEqual(web.ends(), expected)
})

test('words that this version does not know are counted, and never as another one', () => {
  const web = frontend()
  web.countEnd(packReason(By.CLIENT, Phase.DATA, Code.DONE))
  for (const code of [64 + Code.DONE, 128 + Code.DONE, 4095]) {
    web.countEnd(packReason(By.CLIENT, Phase.DATA, code))
  }
  web.countEnd(packReason(By.CLIENT, Phase.DATA, Code.INTERNAL))
  assert.deepEqual(web.ends(), { 'client/data/done': 1, 'client/data/internal': 4 })
})

test('every reason has a sentence: of its own, short, on one line, without names', () => {
  for (const reason of reasons) {
    const text = reasonText(reason)
    assert.match(text, /^[A-Za-z][A-Za-z ()_-]+$/)
    assert.ok(text.length <= 64, text)
  }
  const texts = Object.values(Code).map((code) =>
    reasonText(packReason(By.CLIENT, Phase.DATA, code)),
  )
  assert.equal(new Set(texts).size, texts.length, 'two codes with one sentence')
})

test('sentences', () => {
  const { CLIENT, SERVER, TIMEOUT, POLICY } = By
  assert.equal(reasonText(packReason(SERVER, Phase.DATA, Code.DONE)), 'session ended')
  assert.equal(
    reasonText(packReason(CLIENT, Phase.DATA, Code.RESET)),
    'the client reset the connection',
  )
  assert.equal(
    reasonText(packReason(SERVER, Phase.CONNECT, Code.REFUSED)),
    'the server refused the connection',
  )
  assert.equal(
    reasonText(packReason(TIMEOUT, Phase.TLS_OUT, Code.HANDSHAKE_TIMEOUT)),
    'no handshake with the server in time',
  )
  assert.equal(
    reasonText(packReason(TIMEOUT, Phase.ACCEPT_PROXY, Code.HANDSHAKE_TIMEOUT)),
    'no handshake with the client in time',
  )
  assert.equal(reasonText(packReason(POLICY, Phase.TCP_RULES, Code.REJECTED)), 'rejected by policy')
})
