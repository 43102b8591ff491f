import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { config } from '#sluice/options/config.js'
import { renderTypes } from '#sluice/options/generate/types.js'
import type { Written } from '#sluice/options/section.js'
import type { Config } from '#sluice/options/written.js'
import { repository } from '../cli/spawn.js'

test('src/options/written.ts is up to date', () => {
  assert.equal(
    readFileSync(join(repository, 'src/options/written.ts'), 'utf8'),
    renderTypes(),
    "run 'npm run generate' and commit the result",
  )
})

/** Each can stand for the other. */
type Same<A, B> = [A, B] extends [B, A] ? true : false
/** Nothing is left out: an option that only one has is seen. */
type All<T> = T extends (...args: never[]) => unknown
  ? T
  : T extends object
    ? { [K in keyof T]-?: All<T[K]> }
    : T

type Declared = Written<typeof config.options>

test('what is generated is what the declarations take', () => {
  const same: Same<Declared, Config> = true
  const whole: Same<All<Declared>, All<Config>> = true
  // @ts-expect-error: an option more is another type
  const other: Same<All<Declared>, All<Config & { more?: string }>> = true
  assert.ok(same && whole && other)
})
