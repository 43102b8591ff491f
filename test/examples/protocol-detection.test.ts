import assert from 'node:assert/strict'
import { test } from 'node:test'
import { engineKinds } from '../support/engines.js'
import { serveGreeting, serveNamed } from './servers.js'
import { everyCut, runExample } from './support.js'

const bytes = (text: string) => Buffer.from(text, 'latin1')

const first = {
  ssh: bytes('SSH-2.0-OpenSSH_9.2p1\r\n'),
  https: Buffer.concat([Buffer.from('16030100050100000101', 'hex')]),
  http: bytes('GET / HTTP/1.1\r\nhost: a\r\n\r\n'),
}

for (const kind of engineKinds) {
  test(`${kind}: each protocol finds its server with every byte, split anywhere`, async (t) => {
    const servers: Record<string, number> = {
      'ssh/local': await serveNamed(t, 'ssh'),
      'https/a': await serveNamed(t, 'https'),
      'http/a': await serveNamed(t, 'http'),
    }
    const { connect } = await runExample(t, kind, 'protocol-detection', { servers })
    for (const [name, opening] of Object.entries(first)) {
      for (const cuts of [[], ...everyCut(opening).map((cut) => [cut]), everyCut(opening)]) {
        const client = await connect('any')
        await client.sendSplit(opening, cuts)
        client.fin()
        const answer = await client.readToEnd()
        assert.equal(answer.toString('latin1'), `${name}:${opening.toString('latin1')}`)
      }
    }
  })

  test(`${kind}: what is none of them is closed, also by a FIN in the middle`, async (t) => {
    const { connect, record } = await runExample(t, kind, 'protocol-detection')
    const garbage = await connect('any')
    await garbage.send('\0\0\0\0')
    await garbage.ending()
    const { by, phase, code, rule } = await record(0)
    assert.deepEqual(
      [by, phase, code, rule],
      ['policy', 'handshake', 'rejected', 'protocol-detection/detect'],
    )
    const cut = await connect('any')
    await cut.send('GE')
    cut.fin()
    await cut.ending()
    assert.equal((await record(1)).code, 'rejected')
  })

  test(`${kind}: a client that waits for the server gets the default backend`, async (t) => {
    const servers = { 'ssh/local': await serveGreeting(t, 'SSH-2.0-server\r\n') }
    const { connect } = await runExample(t, kind, 'protocol-detection', { servers })
    const silent = await connect('any')
    await silent.expect('SSH-2.0-server\r\n')
  })
}
