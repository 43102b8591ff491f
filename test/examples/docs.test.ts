/** Every TypeScript block of the documentation compiles; every one that is a configuration is right. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import * as policy from 'sluice/policy'
import { modules } from '#sluice/cli/modules.js'
import { loadConfig } from '#sluice/config/load.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import { root } from './support.js'

interface Block {
  /** 'policy-12': page and line of its first block. */
  name: string
  code: string
}

/** In the package, so that 'sluice' is the package itself. */
const folder = join(root, 'build/docs')
const pages = [
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(root, 'docs', name)),
  join(root, 'README.md'),
].filter(existsSync)

const blocks = pages.flatMap(blocksOf)
const configs = blocks.filter(({ code }) => code.includes('export default defineConfig('))

/** A block that imports nothing goes on with the module that the block before it began. */
function blocksOf(page: string): Block[] {
  const text = readFileSync(page, 'utf8')
  const found: Block[] = []
  for (const match of text.matchAll(/^```(?:ts|typescript)\n(.*?)^```$/gms)) {
    const code = match[1] as string
    const last = found.at(-1)
    if (last !== undefined && !/^import /m.test(code)) {
      last.code += `\n${code}`
    } else {
      const line = text.slice(0, match.index).split('\n').length
      found.push({ name: `${basename(page, '.md')}-${line}`, code })
    }
  }
  return found
}

/** Each as a program: what a block declares of a module holds in its whole program. */
const programs = [
  { path: folder, content: blocks.filter(({ code }) => !code.includes('declare module')) },
  ...blocks
    .filter(({ code }) => code.includes('declare module'))
    .map((block) => ({ path: join(folder, block.name), content: [block] })),
]

function write(): void {
  rmSync(folder, { recursive: true, force: true })
  for (const { path, content } of programs) {
    mkdirSync(path, { recursive: true })
    for (const { name, code } of content) writeFileSync(join(path, `${name}.ts`), code)
    const compilerOptions = { noEmit: true, rootDir: '.', noUnusedLocals: false }
    const base = join(root, 'tsconfig.json')
    const config = { extends: base, compilerOptions, include: ['*.ts'] }
    writeFileSync(join(path, 'tsconfig.json'), JSON.stringify(config))
  }
}

test('the guides have TypeScript in them', () => {
  for (const page of ['policy', 'handshakes', 'applets', 'configuration', 'stick-tables']) {
    assert.ok(
      blocks.some(({ name }) => name.startsWith(`${page}-`)),
      page,
    )
  }
  assert.ok(configs.length >= 8, `${configs.length} configurations`)
})

test('every block of TypeScript in the documentation compiles', () => {
  write()
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  for (const { path } of programs) {
    const { status, stdout, error } = spawnSync(process.execPath, [tsc, '-p', path], {
      encoding: 'utf8',
    })
    assert.equal(error, undefined)
    assert.equal(stdout, '')
    assert.equal(status, 0)
  }
})

for (const { name, code } of configs) {
  test(`the configuration at ${name} is right`, async () => {
    const file = join(folder, `config-${name}.ts`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(file, code)
    // Files that a page names need not be on this machine.
    const cidrFile = () => policy.cidrList('192.0.2.0/24')
    const own = { ...modules, 'sluice/policy': { ...policy, cidrFile } }
    const { config } = await loadConfig(file, { modules: own })
    const resolved = resolveConfig(config, { file: name })
    assert.ok(resolved.frontends.length > 0)
    rmSync(file)
  })
}

test('links between pages and to examples lead somewhere', () => {
  for (const page of pages) {
    const text = readFileSync(page, 'utf8')
    for (const [, target = ''] of text.matchAll(/\]\(((?!https?:|#)[^)\s]+)\)/g)) {
      const path = join(page, '..', target.split('#')[0] as string)
      assert.ok(existsSync(path), `${basename(page)}: ${target}`)
    }
  }
})
