/** Variables: by handle, by name, and with names that an application declares. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { defineApplet, defineVar, setVar } from '#sluice/policy.js'
import { createTestProxy } from '#sluice/testing/index.js'
import { repository } from '../cli/spawn.js'

test('a handle is a variable by its name, for rules, applets and results', async () => {
  const user = defineVar<string>('test.user')
  const tries = defineVar<number>('test.tries')
  const greet = defineApplet('greet', (stream, conn) => stream.write(`hello ${user.get(conn)}`))
  await using proxy = await createTestProxy({
    frontends: {
      web: {
        bind: '127.0.0.1:0',
        backend: 'app',
        rules: {
          connection: [
            function first(conn) {
              assert.equal(user.get(conn), undefined)
              user.set(conn, 'alice')
              tries.set(conn, 1)
              assert.equal(conn.vars['test.user'], 'alice')
              return setVar('test.user', 'bob')
            },
            function second(conn) {
              assert.equal(user.get(conn), 'bob')
              tries.set(conn, (tries.get(conn) ?? 0) + 1)
            },
          ],
        },
      },
    },
    backends: { app: { servers: { a: greet } } },
  })
  const result = await proxy.connect({ bytes: 'x' })
  assert.deepEqual(result.vars, { 'test.user': 'bob', 'test.tries': 2 })
  assert.equal(result.replyText, 'hello bob')
})

test('what is no value of a variable is refused, and so is what is no name', () => {
  const odd = defineVar<string>('odd')
  const conn = { vars: {} }
  for (const value of [null, {}, [], () => 1, Symbol('s')]) {
    assert.throws(
      () => odd.set(conn, value as never),
      /variable 'odd': expected a string, a number/,
    )
  }
  assert.deepEqual(conn.vars, {})
  const any = defineVar('any')
  for (const value of ['', 0, false, 1n, new Uint8Array(1), undefined]) {
    any.set(conn, value)
    assert.equal(any.get(conn), value)
  }
  for (const name of ['', undefined, 5]) {
    assert.throws(() => defineVar(name as never), /defineVar: expected a name/)
  }
})

test('setVar with what is no value is a failure of its rule, and is told', async () => {
  await using proxy = await createTestProxy({
    frontends: {
      web: {
        bind: '127.0.0.1:0',
        backend: 'app',
        rules: {
          session: [
            function sets(conn) {
              return setVar('odd', values[conn.srcPort] as never)
            },
          ],
        },
      },
    },
    backends: { app: { servers: { a: '127.0.0.1:1' } } },
  })
  const values = [0, null, {}, [1], () => 1, Symbol('s'), new Date(0)]
  for (let srcPort = 1; srcPort < values.length; srcPort++) {
    const result = await proxy.connect({ srcPort })
    assert.equal(result.reason?.code, 'policy-error')
    assert.deepEqual(result.vars, {})
    const [line] = result.logs
    assert.equal(line?.msg, 'rule sets failed')
    const { message } = (line?.err ?? {}) as { message?: string }
    assert.match(String(message), /value: expected a string, a number, true, false, a bigint or/)
  }
})

const AUGMENTED = `import { type Connection, defineVar, setVar } from 'sluice/policy'
import { createTestProxy } from 'sluice/testing'

declare module 'sluice/policy' {
  interface Vars {
    tenant?: string
    tries?: number
  }
}

const own = defineVar<boolean>('package.own')

export async function rule(conn: Connection) {
  const tenant: string | undefined = conn.vars.tenant
  conn.vars.tries = tenant?.length
  // @ts-expect-error: of another type
  conn.vars.tries = 'many'
  // @ts-expect-error: not declared
  conn.vars.tenants = 'a'
  own.set(conn, true)
  // @ts-expect-error: of another type
  own.set(conn, 'yes')
  return [setVar('tenant', 'a'), setVar('tries', 1)]
}
// @ts-expect-error: of another type
setVar('tenant', 1)
// @ts-expect-error: not declared
setVar('tenants', 'a')

export async function tested() {
  await using proxy = await createTestProxy({ frontends: {}, backends: {} })
  const { vars } = await proxy.connect()
  return vars.tenant?.toUpperCase()
}
`

test('names that an application declares are checked by the compiler, without skipLibCheck', () => {
  const folder = join(repository, 'build/augmented')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'vars.ts'), AUGMENTED)
  const compilerOptions = { noEmit: true, rootDir: '.', skipLibCheck: false }
  const config = { extends: '../../tsconfig.json', compilerOptions, include: ['*.ts'] }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  const tsc = join(repository, 'node_modules/typescript/bin/tsc')
  const { stdout, error, status } = spawnSync(process.execPath, [tsc, '-p', folder], {
    encoding: 'utf8',
  })
  assert.equal(error, undefined)
  assert.equal(stdout, '')
  assert.equal(status, 0)
})
