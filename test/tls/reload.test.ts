import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { renameSync, rmSync, symlinkSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { pemBlocks } from '#sluice/codec/pem.js'
import { readAuthorities } from '#sluice/tls/authorities.js'
import { readCertificate } from '#sluice/tls/certificates.js'
import type { Read } from '#sluice/tls/content.js'
import type { DownstreamContexts } from '#sluice/tls/contexts.js'
import { makeAuthority, makeKey } from '../support/certificates.js'
import { messages, tray, type World, world } from './support.js'

const ca = makeAuthority('Root')
const issue = (name: string, key: 'ec' | 'rsa' = 'ec') => ca.issue({ names: [name], key })
const a1 = issue('a.example')
const a2 = issue('a.example')
const b1 = issue('b.example')
const aRsa = issue('a.example', 'rsa')
const pem = ({ chain, key }: typeof a1) => chain + key

/** Longer than what answers and routes may still need. */
const LATER = '1m'

interface Loaded extends World {
  bind: DownstreamContexts
}

async function loaded(options: Parameters<typeof world>[0]): Promise<Loaded> {
  const one = world(options)
  await one.load()
  one.lines.length = 0
  const bind = one.store.forBind(one.binds[0] as World['binds'][0])
  return Object.assign(one, { bind })
}

/** Serial number of the certificate of a context. */
function serial(context: number | undefined, { engine }: World): string | undefined {
  if (context === undefined) return undefined
  const { chain } = engine.servers.get(context)?.certificates[0] ?? {}
  return chain === undefined ? 'forgotten' : new X509Certificate(chain).serialNumber
}

const serialOf = ({ cert }: { cert: string }) => new X509Certificate(cert).serialNumber

test('a new certificate replaces the old one, whose context is forgotten later', async () => {
  const folder = tray({ 'a.pem': pem(a1), 'b.pem': pem(b1) })
  const one = await loaded({ binds: [{ cert: folder.path }] })
  const [oldA, oldB] = [one.bind.choose('a.example'), one.bind.choose('b.example')]
  folder.put('a.pem', pem(a2))
  assert.deepEqual(await one.store.reload(), { changed: [folder.at('a.pem')], errors: [] })
  assert.equal(serial(one.bind.choose('a.example'), one), serialOf(a2))
  assert.equal(one.bind.choose('b.example'), oldB, 'what has not changed keeps its context')
  assert.ok(one.engine.servers.has(oldA as number), 'answers with it may be on their way')
  one.clock.advance(LATER)
  assert.ok(!one.engine.servers.has(oldA as number))
  assert.equal(one.engine.live, 2)
  assert.equal(
    one.store.certificates()[0]?.fingerprint,
    new X509Certificate(a2.cert).fingerprint256.replaceAll(':', '').toLowerCase(),
  )
  assert.deepEqual(one.reports, [{ changed: [folder.at('a.pem')], errors: [] }])
})

test('a context that replaces another one goes on with its sessions', async () => {
  const folder = tray({ 'a.pem': pem(a1) })
  const one = await loaded({ binds: [{ cert: folder.path }] })
  const group = () => one.engine.servers.get(one.bind.choose('a.example') as number)?.sessionGroup
  const before = group()
  folder.put('a.pem', pem(a2))
  await one.store.reload()
  assert.equal(group(), before)
})

test('other authorities or lists end the resumption of sessions', async () => {
  const other = makeAuthority('Other')
  ca.crl()
  const folder = tray({ 'ca.pem': ca.cert, 'crl.pem': ca.crl() })
  const one = await loaded({
    binds: [
      {
        cert: a1.pemFile,
        ca: folder.at('ca.pem'),
        crl: folder.at('crl.pem'),
        clientCert: 'required',
      },
    ],
  })
  const spec = () => one.engine.servers.get(one.bind.choose('') as number)
  const groups = [spec()?.sessionGroup]
  ca.revoke(b1)
  folder.put('crl.pem', ca.crl())
  assert.deepEqual((await one.store.reload()).changed, [folder.at('crl.pem')])
  groups.push(spec()?.sessionGroup)
  folder.put('ca.pem', other.cert)
  assert.deepEqual((await one.store.reload()).changed, [folder.at('ca.pem')])
  groups.push(spec()?.sessionGroup)
  assert.equal(new Set(groups).size, 3)
  assert.equal(new X509Certificate(spec()?.ca ?? '').subject, 'CN=Other')
})

test('nothing has changed: nothing is made, and nobody is told', async () => {
  const folder = tray({ 'a.pem': pem(a1) })
  const one = await loaded({ binds: [{ cert: folder.path }] })
  const { made } = one.engine
  folder.put('a.pem', pem(a1))
  assert.deepEqual(await one.store.reload(), { changed: [], errors: [] })
  assert.equal(one.engine.made, made)
  assert.deepEqual([one.reports, one.lines], [[], []])
})

test('files come to a folder and go', async () => {
  const folder = tray({ 'a.pem': pem(a1) })
  const one = await loaded({ binds: [{ cert: folder.path, strictSni: true }] })
  folder.put('b.crt', b1.chain)
  folder.put('b.key', b1.key)
  assert.deepEqual((await one.store.reload()).changed, [folder.at('b.crt'), folder.at('b.key')])
  assert.equal(serial(one.bind.choose('b.example'), one), serialOf(b1))
  folder.remove('a.pem')
  assert.deepEqual(await one.store.reload(), { changed: [folder.at('a.pem')], errors: [] })
  assert.equal(one.bind.choose('a.example'), undefined)
  one.clock.advance(LATER)
  assert.equal(one.engine.live, 1)
  folder.remove('b.crt')
  const { errors } = await one.store.reload()
  assert.deepEqual(errors, [
    `frontends.web.bind[0].tls: ${folder.path}: holds no certificate; expected NAME.pem or NAME.crt files.`,
  ])
  assert.equal(serial(one.bind.choose('b.example'), one), serialOf(b1), 'the last one stays')
})

test('an RSA certificate comes beside one of the same name', async () => {
  const folder = tray({ 'a.pem': pem(a1) })
  const one = await loaded({ binds: [{ cert: folder.path }] })
  folder.put('a-rsa.pem', pem(aRsa))
  await one.store.reload()
  const spec = one.engine.servers.get(one.bind.choose('a.example') as number)
  assert.deepEqual(
    spec?.certificates.map(({ chain }) => new X509Certificate(chain).serialNumber),
    [serialOf(a1), serialOf(aRsa)],
  )
  assert.equal(one.store.certificates().length, 2)
})

test('a broken file keeps its old content, says so, and stops no other', async () => {
  const folder = tray({
    'a.pem': pem(a1),
    'b.pem': pem(b1),
    'c.crt': aRsa.chain,
    'c.key': aRsa.key,
  })
  const one = await loaded({ binds: [{ cert: folder.path }] })
  folder.put('b.pem', 'rubbish')
  folder.put('a.pem', pem(a2))
  folder.put('c.key', makeKey('rsa'))
  folder.put('d.pem', '')
  const { changed, errors } = await one.store.reload()
  assert.deepEqual(changed, [folder.at('a.pem')])
  assert.deepEqual(errors, [
    `frontends.web.bind[0].tls: ${folder.at('b.pem')}: is not PEM; expected a certificate and its issuers in PEM.`,
    `frontends.web.bind[0].tls: ${folder.at('c.key')}: its private key does not match the certificate in ${folder.at('c.crt')} (CN=a.example): both are RSA of 2048 bits.`,
    `frontends.web.bind[0].tls: ${folder.at('d.pem')}: is empty; expected a certificate and its issuers in PEM.`,
  ])
  assert.deepEqual(
    messages(one.lines, 50),
    errors.map((line) => `${line} What was in use before stays in use.`),
  )
  assert.equal(serial(one.bind.choose('a.example'), one), serialOf(a2))
  assert.equal(serial(one.bind.choose('b.example'), one), serialOf(b1))
  folder.put('b.pem', pem(b1))
  assert.equal((await one.store.reload()).errors.length, 2)
})

test('a file that is gone keeps its old content, where it is named', async () => {
  const folder = tray({ 'a.pem': pem(a1) })
  const one = await loaded({ binds: [{ cert: folder.at('a.pem') }] })
  folder.remove('a.pem')
  const { errors } = await one.store.reload()
  assert.deepEqual(errors, [`frontends.web.bind[0].tls: ${folder.at('a.pem')}: no such file.`])
  assert.equal(serial(one.bind.choose('a.example'), one), serialOf(a1))
})

test('a certificate that the engine refuses gives way to its old content, and stops no other', async () => {
  const folder = tray({ 'a.pem': pem(a1), 'b.pem': pem(b1) })
  const one = await loaded({ binds: [{ cert: folder.path }] })
  const b2 = issue('b.example')
  folder.put('a.pem', pem(a2))
  folder.put('b.pem', pem(b2))
  one.engine.refuse = (spec) =>
    'certificates' in spec &&
    spec.certificates[0]?.chain === new X509Certificate(b2.cert).toString()
      ? 'not this one'
      : undefined
  assert.deepEqual(await one.store.reload(), {
    changed: [folder.at('a.pem')],
    errors: [`frontends.web.bind[0].tls: ${folder.at('b.pem')}: not this one`],
  })
  assert.equal(serial(one.bind.choose('a.example'), one), serialOf(a2))
  assert.equal(serial(one.bind.choose('b.example'), one), serialOf(b1))
  one.clock.advance(LATER)
  assert.equal(one.engine.live, 2)
})

test('authorities that the engine refuses give way to the old ones', async () => {
  const folder = tray({ 'ca.pem': ca.cert })
  const one = await loaded({
    binds: [{ cert: a1.pemFile, ca: folder.at('ca.pem'), clientCert: 'required' }],
  })
  const before = one.bind.choose('')
  folder.put('ca.pem', makeAuthority('Other').cert)
  one.engine.refuse = () => 'no authorities'
  assert.equal((await one.store.reload()).errors.length, 1)
  assert.equal(one.bind.choose(''), before)
  one.clock.advance(LATER)
  assert.equal(one.engine.live, 1)
})

test('contexts for other demands go with their certificate', async () => {
  const folder = tray({ 'a.pem': pem(a1) })
  const one = await loaded({ binds: [{ cert: folder.path, ca: ca.certFile }] })
  one.bind.choose('a.example', 'required')
  one.bind.choose('a.example', 'optional')
  assert.equal(one.engine.live, 3)
  folder.put('a.pem', pem(a2))
  await one.store.reload()
  const required = one.bind.choose('a.example', 'required')
  assert.equal(serial(required, one), serialOf(a2))
  one.clock.advance(LATER)
  assert.equal(one.engine.live, 2)
})

test('servers: new files give a new context, and backends are told', async () => {
  const folder = tray({ 'ca.pem': ca.cert, 'client.pem': pem(a1) })
  const one = await loaded({
    servers: [
      { address: '127.0.0.1:1', tls: { ca: folder.at('ca.pem'), cert: folder.at('client.pem') } },
      { address: '127.0.0.1:2', tls: { ca: ca.certFile } },
    ],
  })
  const [first, second] = one.servers as [World['servers'][0], World['servers'][0]]
  const before = [one.store.forServer(first), one.store.forServer(second)]
  folder.put('client.pem', pem(a2))
  await one.store.reload()
  const after = one.store.forServer(first)
  assert.notEqual(after, before[0])
  assert.equal(one.store.forServer(second), before[1])
  assert.equal(one.renewed, 1)
  assert.equal(
    one.engine.clients.get(after)?.certificate?.chain,
    new X509Certificate(a2.cert).toString(),
  )
  folder.put('ca.pem', 'rubbish')
  assert.equal((await one.store.reload()).errors.length, 1)
  assert.equal(one.store.forServer(first), after)
  assert.equal(one.renewed, 1)
  one.clock.advance(LATER)
  assert.equal(one.engine.live, 2)
})

test('the watcher takes a change that holds still, once', async () => {
  const folder = tray({ 'a.pem': pem(a1) })
  const one = await loaded({ binds: [{ cert: folder.path }] })
  await one.store.poll()
  folder.put('a.pem', pem(a2))
  assert.deepEqual((await one.store.poll()).changed, [], 'it may still be written to')
  assert.deepEqual((await one.store.poll()).changed, [folder.at('a.pem')])
  assert.equal(serial(one.bind.choose('a.example'), one), serialOf(a2))
  const { made } = one.engine
  assert.deepEqual((await one.store.poll()).changed, [])
  assert.equal(one.engine.made, made)
})

test('the watcher: certificate and key that come one after the other are no error', async () => {
  const folder = tray({ 'a.crt': a1.chain, 'a.key': a1.key })
  const one = await loaded({ binds: [{ cert: folder.path }] })
  folder.put('a.crt', a2.chain)
  await one.store.poll()
  assert.deepEqual(await one.store.poll(), { changed: [], errors: [] }, 'they do not match yet')
  folder.put('a.key', a2.key)
  await one.store.poll()
  assert.deepEqual((await one.store.poll()).changed, [folder.at('a.crt'), folder.at('a.key')])
  assert.deepEqual(messages(one.lines, 50), [])
  assert.equal(serial(one.bind.choose('a.example'), one), serialOf(a2))
})

test('the watcher: an OCSP response comes to a certificate in a folder, and goes', async () => {
  const folder = tray({ 'a.pem': pem(a1) })
  const one = await loaded({ binds: [{ cert: folder.path }] })
  const stapled = () => one.engine.servers.get(one.bind.choose('') as number)?.certificates[0]?.ocsp
  const polls = async () => [
    ...(await one.store.poll()).changed,
    ...(await one.store.poll()).changed,
    ...(await one.store.poll()).changed,
  ]
  const response = ca.ocsp(a1)
  folder.put('a.ocsp', response)
  assert.deepEqual(await polls(), [folder.at('a.ocsp')])
  assert.deepEqual(stapled(), response)
  folder.remove('a.ocsp')
  assert.deepEqual(await polls(), [folder.at('a.ocsp')])
  assert.equal(stapled(), undefined)
  assert.deepEqual(messages(one.lines, 50), [])
})

test('the watcher: a key moves out of the file of its certificate', async () => {
  const folder = tray({ 'a.pem': pem(a1) })
  const one = await loaded({ binds: [{ cert: folder.path }] })
  folder.put('a.key', a2.key)
  folder.put('a.pem', a2.chain)
  await one.store.poll()
  await one.store.poll()
  assert.equal(serial(one.bind.choose('a.example'), one), serialOf(a2))
  assert.equal(one.store.certificates()[0]?.keyFile, folder.at('a.key'))
})

test('the watcher complains once of what stays broken, and takes it when it is whole', async () => {
  const folder = tray({ 'a.pem': pem(a1) })
  const one = await loaded({ binds: [{ cert: folder.path }] })
  folder.put('a.pem', 'rubbish')
  const errors = []
  for (let i = 0; i < 6; i++) errors.push(...(await one.store.poll()).errors)
  assert.equal(errors.length, 1)
  folder.put('a.pem', pem(a2))
  await one.store.poll()
  assert.deepEqual((await one.store.poll()).changed, [folder.at('a.pem')])
  assert.equal(serial(one.bind.choose('a.example'), one), serialOf(a2))
})

test('the watcher: a file that is gone for a moment stays in use', async () => {
  const folder = tray({ 'a.pem': pem(a1), 'b.pem': pem(b1) })
  const one = await loaded({ binds: [{ cert: folder.path, strictSni: true }] })
  folder.remove('b.pem')
  await one.store.poll()
  assert.equal(serial(one.bind.choose('b.example'), one), serialOf(b1))
  folder.put('b.pem', pem(b1))
  for (let i = 0; i < 3; i++) assert.deepEqual((await one.store.poll()).errors, [])
  assert.equal(serial(one.bind.choose('b.example'), one), serialOf(b1))
  folder.remove('b.pem')
  await one.store.poll()
  await one.store.poll()
  assert.equal(one.bind.choose('b.example'), undefined)
  assert.deepEqual(messages(one.lines, 50), [])
})

test('the watcher follows links that are swapped, and complains once of a folder that is gone', async () => {
  const [old, fresh] = [tray({ 'a.pem': pem(a1) }), tray({ 'a.pem': pem(a2) })]
  const parent = tray()
  symlinkSync(old.path, parent.at('live'))
  const one = await loaded({ binds: [{ cert: parent.at('live') }] })
  symlinkSync(fresh.path, parent.at('next'))
  renameSync(parent.at('next'), parent.at('live'))
  await one.store.poll()
  assert.deepEqual((await one.store.poll()).changed, [`${parent.at('live')}/a.pem`])
  rmSync(parent.at('live'))
  const errors = []
  for (let i = 0; i < 5; i++) errors.push(...(await one.store.poll()).errors)
  assert.deepEqual(errors, [`frontends.web.bind[0].tls: ${parent.at('live')}: no such folder.`])
  assert.equal(serial(one.bind.choose('a.example'), one), serialOf(a2))
})

test('the watcher looks by itself, at its interval, until the store is closed', async () => {
  const folder = tray({ 'a.pem': pem(a1) })
  const one = await loaded({ binds: [{ cert: folder.path }], interval: 1000 })
  one.store.watch()
  folder.put('a.pem', pem(a2))
  const isNew = () => serial(one.bind.choose('a.example'), one) === serialOf(a2)
  // A look takes a few turns of the loop, and the next one is set behind it.
  for (let i = 0; i < 10_000 && !isNew(); i++) {
    one.clock.advance('1s')
    await sleep(1)
  }
  assert.ok(isNew())
  one.store.close()
  assert.equal(one.clock.pending, 0)
  await assert.rejects(one.store.reload(), { code: 'ERR_SLUICE_STATE' })
})

test('reloads wait for each other, and choices go on meanwhile', async () => {
  const folder = tray()
  const count = 100
  const certificate = (i: number, { chain, key }: typeof a1) =>
    folder.put(`${String(i).padStart(3, '0')}.pem`, chain + key)
  for (let i = 0; i < count; i++) certificate(i, i === 0 ? a1 : b1)
  const one = await loaded({ binds: [{ cert: folder.path }] })
  for (let i = 0; i < count; i++) certificate(i, i === 0 ? a2 : b1)
  const all = [one.store.reload(), one.store.reload(), one.store.reload()]
  let done = false
  void Promise.all(all).then(() => {
    done = true
  })
  const seen = new Set<string | undefined>()
  while (!done) {
    seen.add(serial(one.bind.choose('a.example'), one))
    await turn()
  }
  assert.deepEqual(seen, new Set([serialOf(a1), serialOf(a2)]))
  const changed = (await Promise.all(all)).map((report) => report.changed.length)
  assert.deepEqual(changed, [1, 0, 0])
})

/** Turns of the loop, counted while `work` goes on. */
async function countingTurns<T>(work: (now: () => number) => Promise<T>) {
  let turns = 0
  let immediate: NodeJS.Immediate
  const count = () => {
    turns++
    immediate = setImmediate(count)
  }
  immediate = setImmediate(count)
  try {
    return { result: await work(() => turns), turns }
  } finally {
    clearImmediate(immediate)
  }
}

test('the loop is given back behind each certificate, read or made', async () => {
  const folder = tray()
  const count = 50
  const name = (i: number) => `n${i}.example`
  const write = () => {
    for (let i = 0; i < count; i++) folder.put(`${i}.pem`, pem(issue(name(i))))
  }
  write()
  const one = await loaded({ binds: [{ cert: folder.path }] })
  write()
  // What a parse costs is seen through the engine: its specification holds what was parsed.
  const madeAt: number[] = []
  const renewed = await countingTurns((now) => {
    one.engine.refuse = () => {
      madeAt.push(now())
      return undefined
    }
    return one.store.reload()
  })
  assert.equal(renewed.result.changed.length, count)
  assert.equal(new Set(madeAt).size, count, 'no two contexts are made in one turn')
  assert.ok((madeAt[0] as number) >= count, `${madeAt[0]} turns for reading`)
  // Touched files are read as well.
  const touched = await countingTurns(() => one.store.reload())
  assert.deepEqual(touched.result.changed, [])
  assert.ok(touched.turns >= count, `${touched.turns} turns`)
})

test('the loop is given back where the engine refuses one certificate after the other', async () => {
  const folder = tray()
  const count = 20
  const write = () => {
    for (let i = 0; i < count; i++) folder.put(`${i}.pem`, pem(issue(`n${i}.example`)))
  }
  write()
  const one = await loaded({ binds: [{ cert: folder.path }] })
  const before = one.store.certificates().map(({ fingerprint }) => fingerprint)
  write()
  const triedAt: number[] = []
  const { result } = await countingTurns((now) => {
    one.engine.refuse = () => {
      triedAt.push(now())
      return 'not today'
    }
    return one.store.reload()
  })
  assert.equal(result.errors.length, count)
  assert.equal(new Set(triedAt).size, count)
  const after = one.store.certificates().map(({ fingerprint }) => fingerprint)
  assert.deepEqual(after, before)
})

test('what is unchanged is not parsed again', async () => {
  const authorities = makeAuthority('Another')
  const folder = tray({ 'a.pem': pem(a1) })
  const [cert, ca] = [folder.at('a.pem'), authorities.certFile]
  const source = { id: 'a', cert, key: cert, ocsp: undefined, inFolder: false }
  const value = <T>(read: Read<T>) => ('value' in read ? read.value : undefined)
  const first = value(await readCertificate(source))
  assert.ok(first)
  assert.equal(value(await readCertificate(source, first)), first)
  folder.put('a.pem', pem(a2))
  assert.notEqual(value(await readCertificate(source, first)), first)
  const trust = value(await readAuthorities([ca], 0))
  assert.ok(trust)
  assert.equal(value(await readAuthorities([ca], 0, trust)), trust)
  assert.notEqual(value(await readAuthorities([ca, ca], 0, trust)), trust)
})

test('a store that is closed in the midst of a reload ends it, wherever it is', async () => {
  const count = 20
  // Turns until it is closed: while files are looked at, read, and contexts made.
  for (const turns of [0, 1, 5, 15, 40, 70]) {
    const folder = tray()
    for (let i = 0; i < count; i++) folder.put(`${i}.pem`, pem(i === 0 ? a1 : b1))
    const one = await loaded({ binds: [{ cert: folder.path }] })
    for (let i = 0; i < count; i++) folder.put(`${i}.pem`, pem(a2))
    const { made } = one.engine
    const reloads = [one.store.reload(), one.store.reload()]
    const outcomes = Promise.allSettled(reloads)
    for (let i = 0; i < turns; i++) await turn()
    const madeByThen = one.engine.made
    one.store.close()
    for (const outcome of await outcomes) {
      if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'ERR_SLUICE_STATE')
    }
    assert.equal((await outcomes)[1]?.status, 'rejected')
    assert.equal(one.engine.made, madeByThen, 'the engine may be gone')
    assert.equal(serial(one.bind.choose('b.example'), one), serialOf(b1), `${made}`)
    assert.equal(one.clock.pending, 0)
  }
})

test('swapping a thousand contexts again and again leaves a thousand', async () => {
  const folder = tray()
  const names = Array.from({ length: 10 }, (_, i) => `n${i}.example`)
  const generations = [names.map((name) => issue(name)), names.map((name) => issue(name))] as const
  const put = (generation: 0 | 1) => {
    for (const [i, one] of generations[generation].entries())
      folder.put(`${names[i]}.pem`, pem(one))
  }
  put(0)
  const binds = Array.from({ length: 100 }, () => ({ cert: folder.path }))
  const one = await loaded({ binds })
  assert.equal(one.engine.live, 1000)
  for (const generation of [1, 0, 1] as const) {
    put(generation)
    assert.equal((await one.store.reload()).changed.length, names.length)
    one.clock.advance(LATER)
    assert.equal(one.engine.live, 1000)
    for (const [i, name] of names.entries()) {
      const wanted = generations[generation][i] as typeof a1
      assert.equal(serial(one.bind.choose(name), one), serialOf(wanted))
    }
  }
})

test('a folder with the certificate of an authority beside those of a server', async () => {
  const folder = tray({ 'ca.crt': ca.cert, 'tls.crt': a1.cert, 'tls.key': a1.key })
  const one = await loaded({ binds: [{ cert: folder.path }] })
  const files = () => one.store.certificates().map(({ file }) => file)
  assert.deepEqual(files(), [folder.at('tls.crt')])
  // Once it has its key it is one of a server.
  folder.put('ca.crt', pem(b1))
  const { errors } = await one.store.reload()
  assert.deepEqual([errors, files()], [[], [folder.at('ca.crt'), folder.at('tls.crt')]])
  // Without it again it is damaged, for who has seen it whole; for a store that has not, an authority's.
  folder.put('ca.crt', ca.cert)
  const damaged = await one.store.reload()
  assert.match(damaged.errors.join(), /ca\.crt/)
  const other = await loaded({ binds: [{ cert: folder.path }] })
  assert.deepEqual(
    other.store.certificates().map(({ file }) => file),
    [folder.at('tls.crt')],
  )
})

test('a label begins its line: what is in front of it is commentary', () => {
  const [text, commented] = [a1.cert, b1.cert].map((cert) => cert.trim())
  const blocks = pemBlocks(`about it\n${text}\n# ${commented}\n# x -----END CERTIFICATE-----\n`)
  assert.deepEqual(
    blocks.map((block) => block.text),
    [text],
  )
  assert.equal(pemBlocks(`${text}\r\n${commented}`.replaceAll('\n', '\r\n')).length, 2)
})
