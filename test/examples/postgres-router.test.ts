import assert from 'node:assert/strict'
import { test } from 'node:test'
import { engineKinds } from '../support/engines.js'
import {
  ask,
  cancelRequest,
  errorFields,
  gssRequest,
  nextMessage,
  servePostgres,
  sslRequest,
  startup,
} from './postgres-peer.js'
import { everyCut, runExample } from './support.js'

for (const kind of engineKinds) {
  test(`${kind}: the database chooses the server, which sees the startup packet`, async (t) => {
    const servers = {
      'primary/a': await servePostgres(t, 'primary'),
      'tenants/d': await servePostgres(t, 'tenants'),
    }
    const { connect, record } = await runExample(t, kind, 'postgres-router', { servers })
    const expected = { orders: 'primary', customers: 'primary', tenant_7: 'tenants' }
    for (const [database, server] of Object.entries(expected)) {
      const client = await connect('postgres')
      await client.send(startup({ user: 'app', database }))
      assert.equal(await ask(client, 'select 1'), `${server} ${database}`)
      client.fin()
      await client.ending()
    }
    const { backend, rule } = await record(2)
    assert.deepEqual([backend, rule], ['tenants', 'postgres-router/route'])
  })

  test(`${kind}: the startup packet may be split at any byte`, async (t) => {
    const servers = { 'primary/a': await servePostgres(t, 'primary') }
    const { connect } = await runExample(t, kind, 'postgres-router', { servers })
    const packet = startup({ user: 'app', database: 'orders', client_encoding: 'UTF8' })
    for (const cuts of [...everyCut(packet).map((cut) => [cut]), everyCut(packet)]) {
      const client = await connect('postgres')
      await client.sendSplit(packet, cuts)
      assert.equal(await ask(client, 'select 1'), 'primary orders')
      client.destroy()
    }
  })

  test(`${kind}: requests for encryption are answered by N, split at any byte`, async (t) => {
    const servers = { 'primary/a': await servePostgres(t, 'primary') }
    const { connect } = await runExample(t, kind, 'postgres-router', { servers })
    const packet = startup({ user: 'app', database: 'orders' })
    const requests = Buffer.concat([gssRequest, sslRequest])
    for (const cut of [undefined, ...everyCut(requests)]) {
      const client = await connect('postgres')
      await client.sendSplit(requests, cut === undefined ? [] : [cut])
      await client.expect('NN')
      await client.send(packet)
      assert.equal(await ask(client, 'select 1'), 'primary orders')
      client.destroy()
    }
    // A client that does not wait for the answer.
    const hasty = Buffer.concat([sslRequest, packet])
    for (const cut of everyCut(hasty)) {
      const client = await connect('postgres')
      await client.sendSplit(hasty, [cut])
      await client.expect('N')
      assert.equal(await ask(client, 'select 1'), 'primary orders')
      client.destroy()
    }
  })

  test(`${kind}: a client that leaves after the answer, and one that asks for ever`, async (t) => {
    const { connect, record } = await runExample(t, kind, 'postgres-router')
    const leaving = await connect('postgres')
    await leaving.send(sslRequest)
    await leaving.expect('N')
    leaving.fin()
    await leaving.ending()
    assert.equal((await record(0)).code, 'aborted')
    const asking = await connect('postgres')
    for (let i = 0; i < 100; i++) {
      await asking.send(sslRequest)
      await asking.expect('N')
    }
    asking.reset()
    assert.equal((await record(1)).code, 'reset')
  })

  test(`${kind}: an unknown database gets PostgreSQL's own error`, async (t) => {
    const { connect, record } = await runExample(t, kind, 'postgres-router')
    const client = await connect('postgres')
    await client.send(startup({ user: 'app', database: 'constructor' }))
    const { type, body } = await nextMessage(client)
    assert.equal(type, 'E')
    const { C, M } = errorFields(body)
    assert.deepEqual([C, M], ['3D000', 'database "constructor" does not exist'])
    assert.equal(await client.ending(), 'fin')
    client.fin()
    const { by, phase, code } = await record(0)
    assert.deepEqual([by, phase, code], ['policy', 'handshake', 'replied'])
  })

  test(`${kind}: garbage gets an error, a cancel request is closed`, async (t) => {
    const { connect, record } = await runExample(t, kind, 'postgres-router')
    const garbage = await connect('postgres')
    await garbage.send('GET / HTTP/1.1\r\n\r\n')
    assert.equal(errorFields((await nextMessage(garbage)).body).C, '08P01')
    garbage.fin()
    assert.equal((await record(0)).code, 'replied')
    const cancel = await connect('postgres')
    await cancel.send(cancelRequest)
    await cancel.ending()
    assert.equal((await record(1)).code, 'rejected')
  })
}
