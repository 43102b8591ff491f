import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  findSystemAuthorities,
  overdueLists,
  readAuthorities,
  readRevocations,
} from '#sluice/tls/authorities.js'
import {
  type Certificate,
  daysLeft,
  describeOcsp,
  describeValidity,
  readCertificate,
  sourceOf,
} from '#sluice/tls/certificates.js'
import {
  certificateFolder,
  type Issued,
  makeAuthority,
  makeKey,
  selfSigned,
} from '../support/certificates.js'

const root = makeAuthority('Root')
const middle = root.intermediate('Middle')
const site = middle.issue({ names: ['A.example', '*.b.example', '10.0.0.1'] })
const folder = certificateFolder()

/** A new file with this content. */
function file(content: string | Buffer): string {
  const path = join(folder, `${randomUUID()}.pem`)
  writeFileSync(path, content)
  return path
}

async function load(cert: string, key = cert, ocsp?: string): Promise<Certificate> {
  const read = await readCertificate(sourceOf({ cert, key, ocsp }))
  assert.ok('value' in read, JSON.stringify(read))
  return read.value
}

/** Everything that is wrong, with names in place of paths. */
async function wrong(files: { cert: string; key?: string; ocsp?: string }): Promise<string[]> {
  const { cert, key = cert, ocsp } = files
  const read = await readCertificate(sourceOf({ cert, key, ocsp }))
  assert.ok('faults' in read, 'expected faults')
  const names = [
    [key, 'KEY'],
    [cert, 'CERT'],
    [ocsp ?? '(none)', 'OCSP'],
  ] as const
  const plain = (text: string) =>
    names.reduce(
      (all, [path, name]) => all.replaceAll(path, key === cert && name === 'KEY' ? 'CERT' : name),
      text,
    )
  return read.faults.map((fault) => plain(`${fault.file}: ${fault.message}`))
}

test('chain and key in one file, and in two', async () => {
  const one = await load(site.pemFile)
  const two = await load(site.chainFile, site.keyFile)
  for (const found of [one, two]) {
    assert.deepEqual(found.names, ['a.example', '*.b.example'], 'lower case, DNS names only')
    assert.equal(found.keyType, 'ecdsa')
    assert.equal(found.chain.match(/BEGIN CERTIFICATE/g)?.length, 2)
    assert.doesNotMatch(found.chain, /PRIVATE/)
    assert.equal(found.fingerprint, one.fingerprint)
    assert.match(found.fingerprint, /^[0-9a-f]{64}$/)
    assert.equal(found.ocsp, undefined)
    assert.deepEqual(found.warnings, [])
  }
  assert.deepEqual([...one.hashes.keys()], [site.pemFile])
  assert.deepEqual([...two.hashes.keys()], [site.chainFile, site.keyFile])
})

test('the key may stand before the chain, among other text', async () => {
  const text = `subject=CN = A\n${site.key}\nissuer\n${site.chain}end`
  assert.equal((await load(file(text))).fingerprint, (await load(site.pemFile)).fingerprint)
})

test('a chain may end with its root', async () => {
  assert.equal((await load(file(site.chain + root.cert + site.key))).keyType, 'ecdsa')
})

test('types of keys', async () => {
  for (const [key, keyType] of [
    ['rsa', 'rsa'],
    ['ec384', 'ecdsa'],
    ['ed25519', 'ed25519'],
  ] as const) {
    assert.equal((await load(selfSigned({ names: ['x'], key }).pemFile)).keyType, keyType)
  }
})

test('the common name counts where there is no DNS name, and only where it is one', async () => {
  const names = async (issued: Issued) => (await load(issued.pemFile)).names
  const common = selfSigned({ names: ['Only.Common'], noAltNames: true })
  assert.deepEqual(await names(common), ['only.common'])
  const both = selfSigned({ names: ['dns.example'], commonName: 'other.example' })
  assert.deepEqual(await names(both), ['dns.example'])
  const address = selfSigned({ names: ['10.0.0.1'], commonName: 'host.example' })
  assert.deepEqual(await names(address), ['host.example'])
  const person = selfSigned({ names: ['Jane Doe'], noAltNames: true })
  assert.deepEqual(await names(person), [])
})

test('days left, and validity', async () => {
  const { notBefore, notAfter } = await load(site.pemFile)
  const end = notAfter.getTime()
  const day = 86_400_000
  assert.equal(daysLeft({ notAfter }, end - 3 * day - 1), 3)
  assert.equal(daysLeft({ notAfter }, end - 1), 0)
  assert.equal(daysLeft({ notAfter }, end + 1), -1)
  assert.equal(describeValidity({ notBefore, notAfter }, end - day), undefined)
  assert.match(
    describeValidity({ notBefore, notAfter }, end + 1) ?? '',
    /^has expired, on \d{4}-\d\d-\d\d \d\d:\d\d UTC\.$/,
  )
  assert.match(
    describeValidity({ notBefore, notAfter }, notBefore.getTime() - 1) ?? '',
    /^is not valid yet: from \d{4}-\d\d-\d\d \d\d:\d\d UTC on\.$/,
  )
})

test('expired and future certificates are read: they are judged elsewhere', async () => {
  const expired = await load(selfSigned({ names: ['x'], from: -10, days: -1 }).pemFile)
  assert.match(describeValidity(expired, Date.now()) ?? '', /^has expired/)
  const future = await load(selfSigned({ names: ['x'], from: 5, days: 10 }).pemFile)
  assert.match(describeValidity(future, Date.now()) ?? '', /^is not valid yet/)
})

test('a short RSA key is a warning', async () => {
  const { warnings } = await load(selfSigned({ names: ['x'], key: 'rsa1024' }).pemFile)
  assert.deepEqual(
    warnings.map(({ message }) => message),
    ['certificate 1 (CN=x) has an RSA key of 1024 bits; many peers want 2048.'],
  )
})

const expectedChain = 'expected a certificate and its issuers in PEM.'

test('files that are no PEM', async () => {
  const missing = join(folder, 'missing.pem')
  assert.deepEqual(await wrong({ cert: missing }), ['CERT: no such file.'])
  assert.deepEqual(await wrong({ cert: missing, key: join(folder, 'other.key') }), [
    'CERT: no such file.',
    'KEY: no such file.',
  ])
  mkdirSync(join(folder, 'sub.pem'))
  assert.deepEqual(await wrong({ cert: join(folder, 'sub.pem') }), [
    'CERT: is a folder; expected a file.',
  ])
  assert.deepEqual(await wrong({ cert: join(site.certFile, 'x') }), [
    'CERT: no such file: a part of its path is no folder.',
  ])
  assert.deepEqual(await wrong({ cert: file('') }), [`CERT: is empty; ${expectedChain}`])
  assert.deepEqual(await wrong({ cert: file('hello\n') }), [`CERT: is not PEM; ${expectedChain}`])
  const der = Buffer.from(site.cert.replace(/-----.*-----|\n/g, ''), 'base64')
  assert.deepEqual(await wrong({ cert: file(der), key: site.keyFile }), [
    `CERT: is binary (DER or PKCS#12), not PEM; ${expectedChain}`,
  ])
  assert.deepEqual(await wrong({ cert: file(site.cert.slice(0, 200)), key: site.keyFile }), [
    `CERT: is cut short: a BEGIN line has no END line; ${expectedChain}`,
  ])
  assert.deepEqual(await wrong({ cert: site.keyFile }), [
    `CERT: holds only PRIVATE KEY; ${expectedChain}`,
  ])
})

test('a certificate that cannot be read', async () => {
  const broken = site.cert.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA')
  const [message, ...rest] = await wrong({ cert: file(broken + site.key) })
  assert.match(message ?? '', /^CERT: its certificate cannot be read: .+\.$/)
  assert.deepEqual(rest, [])
  const [second] = await wrong({ cert: file(site.cert + broken + site.key) })
  assert.match(second ?? '', /^CERT: certificate 2 of 2 cannot be read: /)
})

test('keys that cannot be used', async () => {
  assert.deepEqual(await wrong({ cert: site.chainFile }), [
    "CERT: holds only CERTIFICATE; expected a private key in PEM, or the name of its file as 'key'.",
  ])
  assert.deepEqual(await wrong({ cert: site.chainFile, key: root.certFile }), [
    'KEY: holds only CERTIFICATE; expected a private key in PEM.',
  ])
  assert.deepEqual(await wrong({ cert: file(site.chain + site.key + makeKey()) }), [
    'CERT: holds 2 private keys; expected one.',
  ])
  const encrypted =
    '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n'
  assert.deepEqual(await wrong({ cert: site.chainFile, key: file(encrypted) }), [
    "KEY: its private key is encrypted; expected one without a password: 'openssl pkey -in KEY -out plain.key'.",
  ])
  const broken = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'
  assert.match(
    (await wrong({ cert: site.chainFile, key: file(broken) }))[0] ?? '',
    /^KEY: its private key cannot be read: /,
  )
})

test('a key of another certificate', async () => {
  const other = selfSigned({ names: ['other'] })
  assert.deepEqual(await wrong({ cert: site.chainFile, key: other.keyFile }), [
    'KEY: its private key does not match the certificate in CERT (CN=A.example): both are EC prime256v1.',
  ])
  assert.deepEqual(await wrong({ cert: file(site.cert + makeKey('rsa')) }), [
    "CERT: its private key does not match the certificate before it (CN=A.example): the key is RSA of 2048 bits, the certificate's EC prime256v1.",
  ])
})

test('a chain out of order says what to swap', async () => {
  assert.deepEqual(await wrong({ cert: file(middle.cert + site.cert + site.key) }), [
    'CERT: certificate 2 (CN=A.example) is the one of the key and must come first; now CN=Middle does. Swap them.',
  ])
  const [leaf, last] = [site.cert, root.cert]
  assert.deepEqual(await wrong({ cert: file(leaf + last + middle.cert + site.key) }), [
    'CERT: is out of order: certificate 2 (CN=Root) has not issued certificate 1 (CN=A.example); certificate 3 (CN=Middle) has: swap 2 and 3.',
  ])
  const stranger = makeAuthority('Stranger')
  assert.deepEqual(await wrong({ cert: file(leaf + stranger.cert + site.key) }), [
    'CERT: is out of order: certificate 2 (CN=Stranger) has not issued certificate 1 (CN=A.example); expected its issuer (CN=Middle), or nothing.',
  ])
})

test('OCSP responses', async () => {
  const response = middle.ocsp(site)
  const ocsp = file(response)
  assert.deepEqual((await load(site.pemFile, site.pemFile, ocsp)).ocsp, response)
  const expected = "expected one in DER, as 'openssl ocsp -respout' writes it."
  assert.deepEqual(await wrong({ cert: site.pemFile, ocsp: file('') }), [
    `OCSP: is empty; ${expected}`,
  ])
  assert.deepEqual(await wrong({ cert: site.pemFile, ocsp: site.certFile }), [
    `OCSP: is no OCSP response; ${expected}`,
  ])
  // RFC 6960 section 4.2.1: tryLater.
  assert.deepEqual(
    await wrong({ cert: site.pemFile, ocsp: file(Buffer.from([0x30, 3, 10, 1, 3])) }),
    ["OCSP: is an OCSP response that says error 3, not a certificate's status."],
  )
  const other = middle.issue({ names: ['other.example'] })
  assert.deepEqual(await wrong({ cert: other.pemFile, ocsp }), [
    'OCSP: is an OCSP response for another certificate than CN=other.example.',
  ])
  const missing = join(folder, 'missing.ocsp')
  assert.deepEqual(await wrong({ cert: site.pemFile, ocsp: missing }), ['OCSP: no such file.'])
  const optional = {
    ...sourceOf({ cert: site.pemFile, key: site.pemFile, ocsp: missing }),
    inFolder: true,
  }
  assert.ok('value' in (await readCertificate(optional)))
})

test('OCSP responses that do harm are told', async () => {
  const revoked = middle.issue({ names: ['revoked.example'] })
  const path = join(revoked.folder, 'ocsp.der')
  const judge = async (now: number) => {
    middle.ocsp(revoked)
    return describeOcsp(await load(revoked.pemFile, revoked.pemFile, path), now)
  }
  assert.equal(await judge(Date.now()), undefined)
  assert.match(
    (await judge(Date.now() + 8 * 86_400_000)) ?? '',
    /^has expired, on .+; clients may refuse the certificate because of it\.$/,
  )
  middle.revoke(revoked)
  assert.equal(await judge(Date.now()), 'says that the certificate is revoked.')
  assert.equal(describeOcsp(await load(revoked.pemFile), Date.now()), undefined)
})

test('authorities: several files, and what is no authority', async () => {
  const read = await readAuthorities([root.certFile, middle.certFile], Date.now())
  assert.ok('value' in read)
  assert.equal(read.value.pem.match(/BEGIN CERTIFICATE/g)?.length, 2)
  assert.deepEqual(read.value.warnings, [])
  const bad = await readAuthorities([root.certFile, site.keyFile], Date.now())
  assert.deepEqual('faults' in bad && bad.faults, [
    {
      file: site.keyFile,
      message: 'holds only PRIVATE KEY; expected certificates of authorities in PEM.',
    },
  ])
  const later = await readAuthorities([root.certFile], Date.now() + 20 * 365 * 86_400_000)
  assert.ok('value' in later)
  assert.match(later.value.warnings[0]?.message ?? '', /^the authority CN=Root has expired, on /)
})

test('revocation lists', async () => {
  middle.crl()
  const read = await readRevocations([middle.crlFile])
  assert.ok('value' in read)
  assert.match(read.value.pem, /^-----BEGIN X509 CRL-----/)
  assert.equal(read.value.dueDates.length, 1)
  const hours = (n: number) => Date.now() + n * 3_600_000
  assert.deepEqual(overdueLists(read.value, hours(47)), [])
  const [overdue] = overdueLists(read.value, hours(49))
  assert.equal(overdue?.file, middle.crlFile)
  assert.match(
    overdue?.message ?? '',
    /^a revocation list has expired, on .+ UTC: certificates of its issuer are refused\.$/,
  )
  const bad = await readRevocations([root.certFile])
  assert.deepEqual('faults' in bad && bad.faults, [
    { file: root.certFile, message: 'holds only CERTIFICATE; expected revocation lists in PEM.' },
  ])
})

test('authorities of the system: SSL_CERT_FILE goes first and must be good', () => {
  assert.equal(findSystemAuthorities({ SSL_CERT_FILE: root.certFile }), root.cert)
  assert.match(findSystemAuthorities({}), /BEGIN CERTIFICATE/)
  const copy = join(folder, 'key-as-bundle.pem')
  copyFileSync(site.keyFile, copy)
  assert.throws(() => findSystemAuthorities({ SSL_CERT_FILE: copy }), {
    code: 'ERR_SLUICE_TLS',
    message: `SSL_CERT_FILE: ${copy}: holds only PRIVATE KEY; expected certificates of authorities in PEM.`,
  })
  assert.throws(
    () => findSystemAuthorities({ SSL_CERT_FILE: '/no/such/bundle.pem' }),
    /cannot be read: ENOENT/,
  )
})
