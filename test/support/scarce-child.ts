/**
 * An engine in a process that may have few descriptors. It answers 'ping' with
 * 'pong' and ends the connection, and holds connections that send nothing. For
 * each line on its standard input it prints what it has seen so far.
 */

import { createInterface } from 'node:readline'
import type { EngineKind } from '#sluice/engine/engine.js'
import { By, BytesFlag, CloseMode, Code, Phase } from '#sluice/wire/wire.js'
import { Harness, reasonWord } from './engine-harness.js'

const h = await Harness.start(process.argv[2] as EngineKind)
const word = reasonWord(By.POLICY, Phase.ACCEPT_SESSION, Code.REPLIED)
h.answers.handshake = ({ conn, generation }) => h.engine.inspect(conn, generation, 100, 0, 0)
h.answers.bytes = ({ conn, generation, bytes, flags }) => {
  if (flags & BytesFlag.EOF) h.engine.close(conn, generation, word, CloseMode.CLOSE, 0)
  else if (bytes.length >= 4) h.engine.reply(conn, generation, Buffer.from('pong'), word)
}
const { port } = await h.listenPort()
const print = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)
print({ port })
const lines = createInterface({ input: process.stdin })
lines.on('line', () => {
  const { connections } = h.engine.stats()
  print({ connections, paused: h.all('listenerPaused').length, faults: h.faults.length })
})
lines.on('close', () => void h.stop().then(() => process.exit(0)))
