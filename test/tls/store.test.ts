import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { makeAuthority, selfSigned } from '../support/certificates.js'
import { messages, tray, type World, world } from './support.js'

const ca = makeAuthority('Root')
const a = ca.issue({ names: ['a.example', '*.wild.example'] })
const aRsa = ca.issue({ names: ['a.example'], key: 'rsa' })
const b = ca.issue({ names: ['b.example'] })
const client = ca.issue({ names: ['client'], client: true })

/** The common names of the certificates that are shown for a name. */
function shown({ store, engine, binds }: World, name: string, bind = 0): string[] | undefined {
  const context = store.forBind(binds[bind] as World['binds'][0]).choose(name)
  if (context === undefined) return undefined
  const spec = engine.servers.get(context)
  return spec?.certificates.map(({ chain }) => {
    const { subject, publicKey } = new X509Certificate(chain)
    return `${subject} ${publicKey.asymmetricKeyType}`
  })
}

test('certificates by name: files, more files and folders', async () => {
  const folder = tray({
    'x.pem': b.chain + b.key,
    'y.crt': aRsa.chain,
    'y.key': aRsa.key,
    'notes.txt': 'no certificate',
    '.hidden.pem': 'no certificate',
  })
  const one = world({ binds: [{ cert: [a.pemFile, folder.path] }] })
  await one.load()
  assert.deepEqual(shown(one, 'a.example'), ['CN=a.example ec', 'CN=a.example rsa'])
  assert.deepEqual(shown(one, 'x.wild.example'), ['CN=a.example ec'])
  assert.deepEqual(shown(one, 'b.example'), ['CN=b.example ec'])
  assert.deepEqual(shown(one, 'nobody.example'), shown(one, 'a.example'), 'the first certificate')
  assert.deepEqual(shown(one, ''), shown(one, 'a.example'))
  assert.equal(one.engine.live, 3)
  assert.deepEqual(
    one.store.certificates().map(({ file, keyFile, names, keyType, usedBy }) => ({
      file,
      keyFile,
      names,
      keyType,
      usedBy,
    })),
    [
      {
        file: a.pemFile,
        keyFile: a.pemFile,
        names: ['a.example', '*.wild.example'],
        keyType: 'ecdsa',
        usedBy: ['frontends.web.bind[0].tls'],
      },
      {
        file: folder.at('x.pem'),
        keyFile: folder.at('x.pem'),
        names: ['b.example'],
        keyType: 'ecdsa',
        usedBy: ['frontends.web.bind[0].tls'],
      },
      {
        file: folder.at('y.crt'),
        keyFile: folder.at('y.key'),
        names: ['a.example'],
        keyType: 'rsa',
        usedBy: ['frontends.web.bind[0].tls'],
      },
    ],
  )
  assert.ok(one.store.certificates().every(({ daysLeft }) => daysLeft === 89))
})

test('strict: a name without a certificate gets none, and neither does no name', async () => {
  const one = world({ binds: [{ cert: a.pemFile, strictSni: true }] })
  await one.load()
  assert.deepEqual(shown(one, 'a.example'), ['CN=a.example ec'])
  assert.equal(shown(one, 'b.example'), undefined)
  assert.equal(shown(one, ''), undefined)
})

test('sets: an exact name of a later one goes before a wildcard of an earlier one', async () => {
  const wild = ca.issue({ names: ['*.example'] })
  const one = world({ binds: [[{ cert: wild.pemFile }, { cert: b.pemFile, alpn: ['h2'] }]] })
  await one.load()
  assert.deepEqual(shown(one, 'b.example'), ['CN=b.example ec'])
  assert.deepEqual(shown(one, 'c.example'), ['CN=*.example ec'])
  assert.deepEqual(shown(one, ''), ['CN=*.example ec'])
  const alpn = [...one.engine.servers.values()].map((spec) => spec.alpn)
  assert.deepEqual(alpn, [[], ['h2']])
})

test('what the engine is told', async () => {
  const response = ca.ocsp(a)
  ca.crl()
  const one = world({
    binds: [
      {
        certificates: [{ cert: a.chainFile, key: a.keyFile, ocsp: `${a.folder}/ocsp.der` }],
        ca: ca.certFile,
        crl: ca.crlFile,
        clientCert: 'required',
        alpn: ['h2', 'http/1.1'],
        minVersion: 'TLSv1.3',
        ciphers: ['TLS_AES_256_GCM_SHA384'],
        groups: ['x25519'],
        tickets: { rotate: '1h' },
        sessionCache: 7,
      },
    ],
  })
  await one.load()
  const [spec] = [...one.engine.servers.values()]
  assert.ok(spec)
  const { certificates, sessionGroup, ca: authorities, crl, ...rest } = spec
  assert.deepEqual(rest, {
    clientCert: 'required',
    tickets: true,
    ticketRotation: 3_600_000,
    sessionCache: 7,
    alpn: ['h2', 'http/1.1'],
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: ['TLS_AES_256_GCM_SHA384'],
    groups: ['x25519'],
  })
  assert.deepEqual(certificates[0]?.ocsp, response)
  assert.match(certificates[0]?.key ?? '', /^-----BEGIN PRIVATE KEY-----/)
  assert.equal(new X509Certificate(authorities).subject, 'CN=Root')
  assert.match(crl, /^-----BEGIN X509 CRL-----/)
  assert.match(sessionGroup, /^[0-9a-f]{32}$/)
})

test('another demand gets a context of its own, once, and sessions of its own', async () => {
  const one = world({ binds: [{ cert: a.pemFile, ca: ca.certFile }, { cert: a.pemFile }] })
  await one.load()
  const { store, engine, binds } = one
  const bind = store.forBind(binds[0] as World['binds'][0])
  const usual = bind.choose('a.example') as number
  assert.equal(bind.choose('a.example', 'none'), usual)
  const before = engine.made
  const required = bind.choose('a.example', 'required') as number
  assert.equal(bind.choose('a.example', 'required'), required)
  const optional = bind.choose('a.example', 'optional') as number
  assert.equal(engine.made, before + 2, 'each is made once')
  const specs = [usual, required, optional].map((context) => engine.servers.get(context))
  assert.deepEqual(
    specs.map((spec) => spec?.clientCert),
    ['none', 'required', 'optional'],
  )
  assert.equal(new Set(specs.map((spec) => spec?.sessionGroup)).size, 3)
  const other = store.forBind(binds[1] as World['binds'][0])
  assert.equal(other.choose('a.example', 'required'), undefined, 'nobody to verify against')
  assert.notEqual(
    engine.servers.get(other.choose('a.example') as number)?.sessionGroup,
    specs[0]?.sessionGroup,
    'binds do not resume sessions of each other',
  )
})

test('a context for another demand that the engine refuses is logged, and is none', async () => {
  const one = world({ binds: [{ cert: a.pemFile, ca: ca.certFile }] })
  await one.load()
  one.engine.refuse = () => 'bad authorities'
  const bind = one.store.forBind(one.binds[0] as World['binds'][0])
  assert.equal(bind.choose('a.example', 'required'), undefined)
  assert.deepEqual(messages(one.lines, 50), [
    'frontends.web.bind[0].tls: no context for another demand',
  ])
})

test('servers: verification, authorities and certificate', async () => {
  const one = world({
    servers: [
      { address: '127.0.0.1:1', tls: true },
      {
        address: '127.0.0.1:2',
        tls: { ca: ca.certFile, cert: client.pemFile, alpn: ['h2'], resumption: false },
      },
      { address: '127.0.0.1:3', tls: { verify: 'none' } },
    ],
  })
  await one.load()
  const [system, own, none] = one.servers.map((server) =>
    one.engine.clients.get(one.store.forServer(server)),
  )
  assert.equal(system?.verify, true)
  assert.match(system?.ca ?? '', /BEGIN CERTIFICATE/)
  assert.ok((system?.sessionCache ?? 0) > 0)
  assert.equal(new X509Certificate(own?.ca ?? '').subject, 'CN=Root')
  assert.equal(new X509Certificate(own?.certificate?.chain ?? '').subject, 'CN=client')
  assert.deepEqual([own?.sessionCache, own?.alpn], [0, ['h2']])
  assert.deepEqual([none?.verify, none?.ca], [false, ''])
  assert.deepEqual(messages(one.lines, 40), [
    "backends.app.servers.s2.tls: verify is 'none': whoever answers is trusted, nothing proves that it is the server",
  ])
  assert.deepEqual(
    one.store.certificates().map(({ usedBy }) => usedBy),
    [['backends.app.servers.s1.tls']],
  )
})

test('everything that is wrong is told in one error, and no context is left', async () => {
  const folder = tray({ 'bad.pem': 'no', 'good.pem': b.chain + b.key })
  const empty = tray()
  const one = world({
    binds: [
      { cert: [a.pemFile, folder.path] },
      { cert: [a.pemFile, empty.path], ca: '/no/ca.pem' },
      { cert: '/no/such.pem' },
    ],
    servers: [
      { address: '127.0.0.1:1', tls: { ca: a.keyFile, cert: b.chainFile, key: a.keyFile } },
    ],
  })
  await assert.rejects(one.load(), {
    code: 'ERR_SLUICE_TLS',
    message: [
      'certificates: 6 problems',
      `  frontends.web.bind[1].tls: ${empty.path}: holds no certificate; expected NAME.pem or NAME.crt files.`,
      `  frontends.web.bind[0].tls: ${folder.at('bad.pem')}: is not PEM; expected a certificate and its issuers in PEM.`,
      '  frontends.web.bind[1].tls.ca: /no/ca.pem: no such file.',
      '  frontends.web.bind[2].tls: /no/such.pem: no such file.',
      `  backends.app.servers.s0.tls: ${a.keyFile}: its private key does not match the certificate in ${b.chainFile} (CN=b.example): both are EC prime256v1.`,
      `  backends.app.servers.s0.tls.ca: ${a.keyFile}: holds only PRIVATE KEY; expected certificates of authorities in PEM.`,
    ].join('\n'),
  })
  assert.equal(one.engine.live, 0)
})

test('what the engine refuses is told with its file, and no context is left', async () => {
  const one = world({
    binds: [{ cert: [a.pemFile, b.pemFile] }],
    servers: [{ address: '127.0.0.1:1', tls: { cert: client.pemFile } }],
  })
  one.engine.refuse = (spec) => {
    if (!('certificates' in spec)) return 'no client'
    return new X509Certificate(spec.certificates[0]?.chain ?? '').subject === 'CN=b.example'
      ? 'no b'
      : undefined
  }
  await assert.rejects(one.load(), {
    message: [
      'certificates: 2 problems',
      `  frontends.web.bind[0].tls: ${b.pemFile}: no b`,
      `  backends.app.servers.s0.tls: ${client.pemFile}: no client`,
    ].join('\n'),
  })
  assert.ok(one.engine.made > 0)
  assert.equal(one.engine.live, 0)
})

test('certificates that expire are warned of at the start and every day', async () => {
  const day = 86_400_000
  const soon = selfSigned({ names: ['soon'], days: 15 })
  let shift = 0
  const one = world({
    binds: [{ cert: [a.pemFile, soon.pemFile] }],
    wall: () => Date.now() + shift,
  })
  await one.load()
  one.store.watch()
  assert.deepEqual(messages(one.lines, 40), [])
  const pass = async (days: number) => {
    one.lines.length = 0
    shift += days * day
    await one.clock.advanceAsync(`${day}ms`)
    return [messages(one.lines, 40), messages(one.lines, 50)]
  }
  assert.deepEqual(await pass(2), [[`${soon.pemFile}: expires in 12 days`], []])
  assert.deepEqual(await pass(1), [[`${soon.pemFile}: expires in 11 days`], []])
  const [warnings, errors] = await pass(20)
  assert.deepEqual(warnings, [])
  assert.equal(errors?.length, 1)
  assert.ok(errors?.[0]?.startsWith(`${soon.pemFile}: has expired, on `))
  one.store.close()
  assert.deepEqual(await pass(1), [[], []], 'closed')
})

test('a revocation list that expires is an error in the log, once a day', async () => {
  const lists = makeAuthority('Lists')
  lists.crl(30)
  const day = 86_400_000
  let shift = 0
  const one = world({
    binds: [{ cert: a.pemFile, ca: lists.certFile, crl: lists.crlFile, clientCert: 'required' }],
    wall: () => Date.now() + shift,
  })
  await one.load()
  one.store.watch()
  assert.deepEqual(messages(one.lines, 50), [])
  for (const expected of [0, 1, 2]) {
    shift += day
    await one.clock.advanceAsync(`${day}ms`)
    const found = messages(one.lines, 50)
    assert.equal(found.length, expected)
    assert.ok(
      found.every((line) => line.startsWith(`${lists.crlFile}: a revocation list has expired`)),
    )
  }
})

test('an expired certificate starts, with an error in the log', async () => {
  const old = selfSigned({ names: ['old'], from: -10, days: -2 })
  const one = world({ binds: [{ cert: old.pemFile }] })
  await one.load()
  assert.match(messages(one.lines, 50).join(), /has expired, on /)
  assert.equal(one.store.certificates()[0]?.daysLeft, -3, 'two days and a moment ago')
})
