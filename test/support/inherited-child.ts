/**
 * A process that got a listening socket as descriptor 3, as socket activation
 * hands it over: runs the engine named by its argument on it and answers each
 * connection with 'inherited'. Ends when its standard input ends.
 */

import type { EngineKind } from '#sluice/engine/engine.js'
import { By, Code, Phase } from '#sluice/wire/wire.js'
import { defaultListen, Harness, reasonWord } from './engine-harness.js'

const h = await Harness.start(process.argv[2] as EngineKind)
const word = reasonWord(By.POLICY, Phase.ACCEPT_SESSION, Code.REPLIED)
h.answers.handshake = ({ conn, generation }) => {
  h.engine.reply(conn, generation, Buffer.from('inherited'), word)
}
const { address } = await h.engine.listen({ ...defaultListen(), address: { kind: 'fd', fd: 3 } })
process.stdout.write(`${JSON.stringify(address)}\n`)
process.stdin.on('end', () => void h.stop().then(() => process.exit(0))).resume()
