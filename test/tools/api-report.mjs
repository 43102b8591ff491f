/**
 * Writes api/*.api.md: what each face of the package has, so that a change of it shows in review.
 * With --check only says whether they are up to date. Reads dist, so build before.
 *
 * What a face mentions is exported by this face or by another one: a type that users meet and cannot
 * name is an internal that got out, and fails.
 */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor'

const root = fileURLToPath(new URL('../..', import.meta.url))
const packageJson = join(root, 'package.json')
const folder = join(root, 'api')
const check = process.argv.includes('--check')

/** Of types that follow from declarations: an editor shows what comes out, and never these. */
const derived = new Set([
  ...['Made', 'Shape', 'Answer', 'Each', 'Anywhere', 'AtOne', 'constructors', 'makeTrack'],
  ...['CounterTable', 'Writable', 'Feeding', 'Empty', 'SchemaResult'],
])

const faces = Object.entries(JSON.parse(readFileSync(packageJson, 'utf8')).exports)
  .filter(([, file]) => typeof file === 'object')
  .map(([path, { types }]) => ({
    name: path === '.' ? 'sluice' : path.slice(2).replaceAll('/', '-'),
    entry: join(root, types),
  }))

const temporary = mkdtempSync(join(tmpdir(), 'sluice-api-'))
try {
  const reports = faces.map(report)
  const exported = new Set(reports.flatMap(({ names }) => [...names]))
  for (const { name, mentioned } of reports) {
    for (const symbol of mentioned) {
      if (exported.has(symbol) || derived.has(symbol) || symbol.endsWith('Fields')) continue
      fail(`${name}: mentions ${symbol}, which no face exports: export it, or do not show it.`)
    }
  }
  mkdirSync(folder, { recursive: true })
  for (const { name, text } of reports) keep(`${name}.api.md`, text)
  for (const file of readdirSync(folder)) {
    if (reports.some(({ name }) => file === `${name}.api.md`)) continue
    if (check) fail(`api/${file}: there is no such face. Run 'npm run generate'.`)
    else rmSync(join(folder, file))
  }
} finally {
  rmSync(temporary, { recursive: true, force: true })
}

/** What a face has, the names that it exports and those that it mentions besides. */
function report({ name, entry }) {
  const mentioned = new Set()
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2023', 'esnext.disposable'],
    module: 'nodenext',
    types: ['node'],
    strict: true,
    skipLibCheck: true,
    noEmit: true,
  }
  const config = ExtractorConfig.prepare({
    packageJsonFullPath: packageJson,
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: entry,
      newlineKind: 'lf',
      compiler: { overrideTsconfig: { compilerOptions, files: [entry] } },
      apiReport: {
        enabled: true,
        reportFileName: name,
        reportFolder: temporary,
        reportTempFolder: join(temporary, 'temp'),
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: { extractorMessageReporting: { default: { logLevel: 'warning' } } },
    },
  })
  Extractor.invoke(config, {
    localBuild: true,
    messageCallback(message) {
      message.handled = true
      const { messageId, text, category } = message
      if (category === 'Compiler') fail(`${name}: ${text}`)
      // Another one of the same name gets a number here.
      if (messageId === 'ae-forgotten-export')
        mentioned.add(text.split('"')[1].replace(/_\d+$/, ''))
    },
  })
  const text = readFileSync(join(temporary, `${name}.api.md`), 'utf8')
  const names = new Set(
    [...text.matchAll(/^export (?:declare |abstract )*\w+ (\w+)/gm)].map(([, symbol]) => symbol),
  )
  return { name, text, names, mentioned }
}

function keep(file, text) {
  const path = join(folder, file)
  if (!check) writeFileSync(path, text)
  else if (readIfThere(path) !== text)
    fail(`api/${file} is not up to date: run 'npm run generate', and look at what changes.`)
}

function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exitCode = 1
}
