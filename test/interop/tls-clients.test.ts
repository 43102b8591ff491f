/** TLS from real clients: curl and openssl s_client. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config, DownstreamTlsConfig } from '#sluice/config/types.js'
import { echo, staticReply } from '#sluice/policy.js'
import { makeAuthority } from '../support/certificates.js'
import { findProgram, needs, runProgram } from './support/programs.js'
import { interopTest } from './support/sluice.js'

needs('curl', 'openssl')

const root = makeAuthority()
const ca = root.intermediate()
const site = ca.issue({ names: ['a.example'] })
const rsa = ca.issue({ names: ['a.example'], key: 'rsa' })
const ada = root.issue({ names: [], commonName: 'Ada', client: true })
const staple = join(site.folder, 'staple.der')
writeFileSync(staple, ca.ocsp(site))

const BODY = 'hello over TLS\n'
const page = `HTTP/1.1 200 OK\r\ncontent-length: ${BODY.length}\r\nconnection: close\r\n\r\n${BODY}`

function config(tls: Partial<DownstreamTlsConfig> = {}, server = staticReply(page)): Config {
  const bind = { address: '127.0.0.1:0', tls: { cert: site.pemFile, ...tls } }
  return {
    frontends: { web: { bind, backend: 'app' } },
    backends: { app: { servers: { a: server } } },
  }
}

const flags = { 'TLSv1.2': '1.2', 'TLSv1.3': '1.3' } as const
const versions = ['TLSv1.2', 'TLSv1.3'] as const

for (const version of versions) {
  const number = flags[version]
  const only = [`--tlsv${number}`, '--tls-max', number]

  const curl = (port: number, ...more: string[]) =>
    runProgram('curl', [
      ...['-sS', '--cacert', root.certFile, '--resolve', `a.example:${port}:127.0.0.1`],
      ...[...only, ...more, `https://a.example:${port}/`],
    ])

  interopTest(`curl verifies and is served, ${version}`, async (start) => {
    const sluice = await start(config())
    const { code, stdout, stderr } = await curl(sluice.port())
    assert.equal(code, 0, stderr)
    assert.equal(stdout, BODY)
    const [record] = await sluice.ended(1)
    assert.equal(record?.tls?.version, version)
    assert.equal(record?.tls?.serverName, 'a.example')
    assert.equal(record?.code, 'done')
  })

  interopTest(`curl asks for an OCSP response, ${version}`, async (start) => {
    const sluice = await start(config({ ocsp: staple }))
    const { code, stderr } = await curl(sluice.port(), '--cert-status')
    assert.equal(code, 0, stderr)
  })

  interopTest(`curl speaks ALPN, ${version}`, async (start) => {
    const sluice = await start(config({ alpn: ['http/1.1'] }))
    const { code, stderr } = await curl(sluice.port())
    assert.equal(code, 0, stderr)
    const [record] = await sluice.ended(1)
    assert.equal(record?.tls?.alpn, 'http/1.1')
  })

  interopTest(`curl shows a certificate, or none, ${version}`, async (start) => {
    const sluice = await start(config({ ca: root.certFile, clientCert: 'required' }))
    const shown = ['--cert', ada.chainFile, '--key', ada.keyFile]
    assert.equal((await curl(sluice.port(), ...shown)).code, 0)
    assert.notEqual((await curl(sluice.port())).code, 0)
    const records = await sluice.ended(2)
    assert.equal(records[0]?.tls?.clientCert, 'Ada')
    const { by, phase, code } = records[1] ?? {}
    assert.equal(`${by} ${phase} ${code}`, 'client tls tls-cert-missing')
  })

  const dash = version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3'
  const client = (port: number, ...more: string[]) => [
    ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'a.example'],
    ...['-CAfile', root.certFile, '-verify_return_error', dash, ...more],
  ]

  interopTest(`s_client: the chain, the staple and the session, ${version}`, async (start) => {
    const sluice = await start(config({ ocsp: staple }))
    const { code, stdout } = await runProgram('openssl', client(sluice.port(), '-status'), 'x\n')
    assert.equal(code, 0, stdout)
    assert.match(stdout, /Verify return code: 0 \(ok\)|Verification: OK/)
    assert.match(stdout, /OCSP Response Status: successful/)
  })

  for (const [algorithm, type] of [
    ['ecdsa_secp256r1_sha256', /Peer signature type: ECDSA/],
    ['rsa_pss_rsae_sha256', /Peer signature type: RSA-PSS/],
  ] as const) {
    interopTest(`s_client chooses by ${algorithm}, ${version}`, async (start) => {
      const sluice = await start(config({ cert: [site.pemFile, rsa.pemFile] }))
      const args = client(sluice.port(), '-sigalgs', algorithm)
      const { code, stdout } = await runProgram('openssl', args, 'x\n')
      assert.equal(code, 0, stdout)
      assert.match(stdout, type)
    })
  }

  interopTest(`s_client resumes with what it kept, ${version}`, async (start) => {
    const sluice = await start(config())
    const file = join(site.folder, `session-${sluice.kind}-${version}.pem`)
    // It reads the answer to its end, and with it the ticket of TLS 1.3.
    const first = await sClient(client(sluice.port(), '-sess_out', file), 'x\n', BODY)
    assert.match(first, /New, TLSv1/)
    const second = await sClient(client(sluice.port(), '-sess_in', file), 'x\n', BODY)
    assert.match(second, /Reused, TLSv1/)
  })
}

/** Runs s_client until its output has `wanted`; returns the output. */
async function sClient(args: string[], input: string, wanted: string): Promise<string> {
  const child = spawn(findProgram('openssl'), args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let output = ''
  const late = setTimeout(() => child.kill('SIGKILL'), 20_000)
  const seen = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
        if (output.includes(wanted)) resolve()
      })
    }
    child.on('close', () => resolve())
  })
  child.stdin.on('error', () => {})
  child.stdin.write(input)
  await seen
  child.stdin.end()
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
  clearTimeout(late)
  assert.ok(output.includes(wanted), output)
  return output
}

interopTest('s_client asks for a renegotiation, is refused, and ends by itself', async (start) => {
  const sluice = await start(config({}, echo()))
  const args = ['s_client', '-connect', `127.0.0.1:${sluice.port()}`, '-tls1_2']
  // A line 'R' is the command to renegotiate.
  const child = spawn(findProgram('openssl'), args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const closed = once(child, 'close')
  let output = ''
  child.stdin.on('error', () => {})
  child.stderr.resume()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const before = output
    output += text
    if (!before.includes('before') && output.includes('before')) child.stdin.write('R\n')
  })
  child.stdin.write('before\n')
  const late = setTimeout(() => child.kill('SIGKILL'), 20_000)
  await closed
  clearTimeout(late)
  assert.match(output, /before/)
  const [record] = await sluice.ended(1)
  assert.equal(`${record?.by} ${record?.phase} ${record?.code}`, 'client data tls-alert')
})

interopTest('s_client refuses the certificate and says so', async (start) => {
  const sluice = await start(config())
  const stranger = makeAuthority('Stranger')
  const args = ['s_client', '-connect', `127.0.0.1:${sluice.port()}`, '-CAfile', stranger.certFile]
  for (const [n, dash] of ['-tls1_2', '-tls1_3'].entries()) {
    const { code } = await runProgram('openssl', [...args, '-verify_return_error', dash], 'x\n')
    assert.notEqual(code, 0)
    const record = (await sluice.ended(n + 1))[n]
    assert.equal(`${record?.by} ${record?.phase} ${record?.code}`, 'client tls tls-alert')
    assert.equal(record?.alert, 'unknown_ca')
  }
})
