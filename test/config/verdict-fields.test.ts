/** Every field of every verdict is checked: in a configuration, in JSON, and in what functions answer. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConfigError } from '#sluice/base/errors.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { Config } from '#sluice/config/types.js'
import { Outcome, type Scope } from '#sluice/flow/rules/scope.js'
import { applyAnswer } from '#sluice/flow/rules/verdicts.js'
import { type VerdictKind, verdictKinds } from '#sluice/policy/rule.js'
import type { RuleList } from '#sluice/policy/rule-lists.js'
import { type Kind, wrongIn } from '#sluice/policy/verdict.js'
import { repository } from '../cli/spawn.js'

type Fields = Record<string, unknown>

/** Right fields of each kind, as JSON has them. */
const right: Record<VerdictKind, Fields> = {
  accept: {},
  reject: { reset: true },
  tarpit: { duration: '5s' },
  reply: { content: 'text' },
  track: { counter: 'sc0', key: '10.0.0.1', table: 'ips' },
  setVar: { name: 'a', value: 1 },
  useBackend: { backend: 'app' },
  useServer: { backend: 'app', server: 'a', strict: true },
  expectProxy: {},
  priority: { value: 1 },
  more: {},
  consume: { bytes: 4 },
  send: { content: 'text', consume: 2 },
  prepend: { content: 'text' },
  startTls: {},
  useCertificate: { name: 'a.example' },
  clientCert: { demand: 'required' },
  passthrough: {},
}

/** Those that a field takes are left out. */
const strange = [null, true, 5, '', 'strange', ['list'], {}, { base64: '!' }]

function issues(list: RuleList, verdict: object): string[] {
  const config = {
    tables: { ips: { key: 'ip', size: 10 } },
    frontends: {
      web: {
        bind: {
          address: '127.0.0.1:0',
          tls: { cert: '/nowhere/a.pem', ca: '/nowhere/ca.pem' },
          ...(list === 'handshake' && { startTls: 'rule' }),
        },
        backend: 'app',
        rules: { [list]: [JSON.parse(JSON.stringify(verdict))] },
      },
    },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
  }
  try {
    resolveConfig(config as unknown as Config, { env: {} })
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.issues.map(
      ({ path, message, suggestion }) =>
        `${path.replace(`frontends.web.rules.${list}[0]`, '')}: ${message}${suggestion ? ` [${suggestion}]` : ''}`,
    )
  }
  return []
}

/** What a function that answers it is told; undefined where that is right. */
function complaint(stage: RuleList, verdict: object): string | undefined {
  const done = (): void => {}
  const scope = {
    phase: 0,
    vars: {},
    conn: {},
    close: done,
    reply: done,
    track: done,
    want: done,
    makeSecure: () => ({}),
    inspect: () => ({ consume: done, insert: done }),
    send: done,
    startTls: done,
  } as unknown as Scope<unknown>
  const targets = {
    tables: new Map([['ips', {} as never]]),
    backends: new Map([['app', { byName: new Map([['a', {}]]) } as never]]),
  }
  const rule = { name: 'rule', checked: false }
  try {
    const outcome = applyAnswer(scope, stage, rule, verdict, targets)
    assert.ok(Object.values<number>(Outcome).includes(outcome), String(outcome))
  } catch (error) {
    assert.ok(error instanceof TypeError, String(error))
    return error.message
  }
  return undefined
}

/** Wrong in JSON and as an answer: below `path`, with these words. */
function assertWrong(kind: Kind, verdict: object, path: string, words: string[]): void {
  const stage = kind.only ?? 'connection'
  const said = JSON.stringify(verdict)
  const told = issues(stage, verdict).filter((line) => line.startsWith(`${path && `.${path}`}`))
  assert.equal(told.length, 1, `${said}: ${issues(stage, verdict)}`)
  const answered = complaint(stage, verdict)
  assert.ok(answered !== undefined, `${said} as an answer`)
  assert.ok(answered.includes(`${kind.kind} ${path.replace('.', ' ')}`.trim()), answered)
  for (const word of words) {
    assert.ok(told[0]?.includes(word), `${said}: ${told[0]} has no ${word}`)
    assert.ok(answered.includes(word), `${said}: ${answered} has no ${word}`)
  }
}

for (const kind of verdictKinds.values()) {
  const fields = right[kind.kind as VerdictKind]
  const verdict = { kind: kind.kind, ...fields }
  const stage = kind.only ?? 'connection'

  test(`${kind.kind}: right as it is`, () => {
    assert.deepEqual(issues(stage, verdict), [])
    assert.equal(complaint(stage, verdict), undefined)
    const turned = Object.fromEntries(Object.entries(verdict).reverse())
    assert.equal(complaint(stage, turned), undefined, 'in another order')
  })

  for (const [name, field] of Object.entries(kind.fields)) {
    test(`${kind.kind}.${name}: of a wrong type, missing, misspelt`, () => {
      const wrong = strange.filter((value) => !field.fits(value))
      assert.ok(wrong.length > 1)
      for (const value of wrong) {
        const base: Fields = { ...verdict }
        if (kind.either?.includes(name)) for (const other of kind.either) delete base[other]
        const isBytes = field.tell?.(value)?.path !== undefined
        assertWrong(kind, { ...base, [name]: value }, isBytes ? `${name}.base64` : name, [
          'expected',
        ])
      }
      const { [name]: _, ...rest } = verdict as Fields
      if (!field.optional) assertWrong(kind, rest, name, ['got nothing'])
      const misspelt = issues(stage, { ...verdict, [`${name}x`]: 1 })
      assert.deepEqual(misspelt, [`.${name}x: is unknown. [${name}]`])
      assert.match(complaint(stage, { ...verdict, [`${name}x`]: 1 }) ?? '', /is unknown\. Did you/)
    })
  }

  test(`${kind.kind}: with a field of no kind`, () => {
    assertWrong(kind, { ...verdict, zzz: 1 }, 'zzz', ['is unknown'])
  })

  if (kind.either !== undefined) {
    const [a, b] = kind.either
    test(`${kind.kind}: ${a} or ${b}`, () => {
      const { [a]: _a, [b]: _b, ...rest } = verdict as Fields
      assertWrong(kind, rest, '', ['got none'])
      assertWrong(kind, { ...rest, key: '10.0.0.1', by: 'src' }, '', ['got both'])
    })
  }

  if (kind.only !== undefined) {
    test(`${kind.kind}: in no other stage`, () => {
      for (const other of ['connection', 'secured', 'session'] as const) {
        if (other === kind.only) continue
        assert.match(issues(other, verdict)[0] ?? '', /is for .* only, and these are/)
        assert.match(complaint(other, verdict) ?? '', /is for .* only/)
      }
    })
  }
}

test('a constant with a key of undefined tracks nothing', () => {
  const verdict = { kind: 'track', counter: 'sc0', key: undefined, table: 'ips' }
  assert.equal(complaint('connection', verdict), undefined)
})

test('the guide shows every kind in JSON, and shows it right', () => {
  const guide = readFileSync(join(repository, 'docs/policy.md'), 'utf8')
  const shown = [...guide.matchAll(/^\| `(\w+)\(.*\)` \| `(\{.*\})` \|$/gm)].map(
    ([, maker, json]): [string, object] => [maker as string, JSON.parse(json as string) as object],
  )
  for (const [maker, verdict] of shown) {
    const kind = verdictKinds.get(maker) as Kind
    assert.equal((verdict as { kind?: unknown }).kind, kind.kind)
    assert.deepEqual(wrongIn(kind, verdict), [])
  }
  assert.deepEqual(
    [...new Set(shown.map(([maker]) => maker))].sort(),
    [...verdictKinds.keys()].sort(),
  )
})
