import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Written } from '#sluice/options/section.js'
import type { table } from '#sluice/options/table.js'
import { table as tableSection } from '#sluice/options/table.js'
import { writeTypes } from '#sluice/options/write-types.js'
import type { TableConfig } from '#sluice/options/written.js'
import { repository } from '../cli/spawn.js'

test('src/options/written.ts is up to date', () => {
  assert.equal(
    readFileSync(join(repository, 'src/options/written.ts'), 'utf8'),
    writeTypes(tableSection),
    "run 'npm run generate' and commit the result",
  )
})

/** Compiles where both are the same type. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
type Deep<T> = T extends object ? { [K in keyof T]: Deep<T[K]> } : T

test('what is generated is what the declarations take', () => {
  const same: Same<Deep<Written<typeof table.options>>, Deep<TableConfig>> = true
  assert.ok(same)
})
