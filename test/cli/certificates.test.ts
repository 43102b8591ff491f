import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect } from 'node:tls'
import { type Issued, makeAuthority, selfSigned } from '../support/certificates.js'
import { folder, sluice, start } from './spawn.js'

const ca = makeAuthority('Root')
const issue = (name: string) => ca.issue({ names: [name] })
const pem = ({ chain, key }: Issued) => chain + key

const config = (tls: unknown, rest: object = {}) =>
  JSON.stringify({
    frontends: { web: { bind: { address: '127.0.0.1:0', tls, ...rest }, backend: 'app' } },
    backends: { app: { servers: { a: '127.0.0.1:9' } } },
  })

test('check: good certificates are counted', async () => {
  const { path, remove } = folder({
    'sluice.config.json': config({ cert: ['a.pem', 'b.pem'] }),
    'a.pem': pem(issue('a.example')),
    'b.pem': pem(issue('b.example')),
  })
  try {
    assert.deepEqual(await sluice(['check'], path), {
      code: 0,
      stdout:
        'sluice.config.json: ok: 1 frontend on 1 address, 1 backend with 1 server, 2 certificates\n',
      stderr: '',
    })
  } finally {
    remove()
  }
})

test('check: everything that is wrong with certificates, with file and path, and 1', async () => {
  const middle = ca.intermediate('Middle')
  const chained = middle.issue({ names: ['c.example'] })
  const expired = selfSigned({ names: ['old.example'], from: -10, days: -2 })
  const future = selfSigned({ names: ['new.example'], from: 5, days: 50 })
  const { path, remove } = folder({
    'sluice.config.json': config({
      certificates: [
        { cert: 'a.pem', key: 'b.key' },
        { cert: 'chain.pem' },
        { cert: 'expired.pem' },
        { cert: 'future.pem' },
        { cert: 'gone.pem' },
      ],
      ca: 'a.pem',
    }),
    'a.pem': issue('a.example').chain,
    'b.key': issue('b.example').key,
    'chain.pem': chained.cert + ca.cert + middle.cert + chained.key,
    'expired.pem': pem(expired),
    'future.pem': pem(future),
  })
  try {
    const { code, stdout, stderr } = await sluice(['check'], path)
    const [first, ...lines] = stderr.trimEnd().split('\n')
    assert.deepEqual([code, stdout, first], [1, '', 'sluice.config.json: certificates: 5 problems'])
    const at = (file: string) => `  frontends.web.bind.tls: ${join(path, file)}: `
    const plain = lines.map((line) =>
      line.replace(/, on .*\.$/, '.').replace(/: from .* on\.$/, '.'),
    )
    assert.deepEqual(plain, [
      `${at('b.key')}its private key does not match the certificate in ${join(path, 'a.pem')} (CN=a.example): both are EC prime256v1.`,
      `${at('chain.pem')}is out of order: certificate 2 (CN=Root) has not issued certificate 1 (CN=c.example); certificate 3 (CN=Middle) has: swap 2 and 3.`,
      `${at('gone.pem')}no such file.`,
      `${at('expired.pem')}has expired.`,
      `${at('future.pem')}is not valid yet.`,
    ])
  } finally {
    remove()
  }
})

test('check: a rule that shows a certificate that is not there', async () => {
  const { path, remove } = folder({
    'sluice.config.json': JSON.stringify({
      frontends: {
        web: {
          bind: { address: '127.0.0.1:0', tls: { cert: 'a.pem' } },
          backend: 'app',
          rules: {
            clientHello: ['a.example', 'x.b.example', 'b.example', 'c.example'].map((name) => ({
              kind: 'useCertificate',
              name,
            })),
          },
        },
      },
      backends: { app: { servers: { a: '127.0.0.1:9001' } } },
    }),
    'a.pem': pem(selfSigned({ names: ['a.example', '*.b.example'] })),
  })
  try {
    const { code, stderr } = await sluice(['check'], path)
    assert.equal(code, 0)
    const lines = stderr.trimEnd().split('\n')
    assert.equal(lines.length, 2, stderr)
    assert.match(
      lines[0] ?? '',
      /clientHello\[2\]: useCertificate\('b\.example'\): no certificate is/,
    )
    assert.match(
      lines[1] ?? '',
      /clientHello\[3\]: useCertificate\('c\.example'\): no certificate is/,
    )
  } finally {
    remove()
  }
})

test('check: warnings do not fail', async () => {
  const soon = selfSigned({ names: ['a.example', 'b.example'], days: 20.5, key: 'rsa1024' })
  const { path, remove } = folder({
    'sluice.config.json': config({ cert: 'a.pem' }, { sniRoutes: { 'b.example': 'app' } }),
    'a.pem': pem(soon),
  })
  try {
    const { code, stdout, stderr } = await sluice(['check'], path)
    const file = join(path, 'a.pem')
    assert.deepEqual(stderr.trimEnd().split('\n'), [
      `sluice.config.json: warning: frontends.web.bind.tls: ${file}: expires in 20 days.`,
      `sluice.config.json: warning: frontends.web.bind.tls: ${file}: certificate 1 (CN=a.example) has an RSA key of 1024 bits; many peers want 2048.`,
      `sluice.config.json: warning: frontends.web.bind.sniRoutes: ${file}: is not shown for b.example: sniRoutes sends it through unterminated.`,
    ])
    assert.equal(code, 0)
    assert.match(stdout, /: ok: .*, 1 certificate\n$/)
  } finally {
    remove()
  }
})

test('run: a certificate that cannot be used is told, and the code is 1', async () => {
  const { path, remove } = folder({
    'sluice.config.json': config({ cert: 'a.pem' }),
    'a.pem': 'no',
  })
  try {
    const { code, stderr } = await sluice(['run', '--engine', 'js'], path)
    assert.equal(code, 1)
    assert.ok(
      stderr.endsWith(
        `certificates: 1 problem\n  frontends.web.bind.tls: ${join(path, 'a.pem')}: is not PEM; expected a certificate and its issuers in PEM.\n`,
      ),
      stderr,
    )
  } finally {
    remove()
  }
})

test('run: SIGHUP reads certificates again, and says what came of it', async () => {
  const [old, fresh] = [issue('a.example'), issue('a.example')]
  const { path, remove } = folder({
    'sluice.config.json': config({ cert: 'a.pem' }),
    'a.pem': pem(old),
  })
  const running = start(['run', '--engine', 'js'], path)
  const shown = async (port: number) => {
    const socket = connect({ host: '127.0.0.1', port, servername: 'a.example', ca: ca.cert })
    await once(socket, 'secureConnect')
    const { serialNumber } = socket.getPeerCertificate()
    socket.on('error', () => {}).destroy()
    return serialNumber
  }
  const serialOf = ({ cert }: Issued) => new X509Certificate(cert).serialNumber
  try {
    const port = Number((await running.sees(/listens on 127\.0\.0\.1:(\d+)/))[1])
    assert.equal(await shown(port), serialOf(old))
    writeFileSync(join(path, 'a.pem'), pem(fresh))
    running.child.kill('SIGHUP')
    await running.sees(/SIGHUP: certificates: 1 file is new\n/)
    assert.equal(await shown(port), serialOf(fresh))
    writeFileSync(join(path, 'a.pem'), '')
    running.child.kill('SIGHUP')
    await running.sees(
      /SIGHUP: certificates: nothing is new\n {2}frontends\.web\.bind\.tls: .*a\.pem: is empty; /,
    )
    assert.equal(await shown(port), serialOf(fresh))
  } finally {
    running.child.kill('SIGKILL')
    await running.ended
    remove()
  }
})
