/** The reference of the configuration, written from the declarations. */

import { z } from 'zod'
import { config } from '../config.js'
import { metaOf, type Place, placesOf, unwrap } from '../tree.js'

const intro = `# Configuration reference

<!-- Generated from the declarations in src/options by \`npm run generate\`. Do not edit. -->

A configuration is one object. \`defineConfig\` gives it types: an editor completes it, and a name that is not there
(\`backend: 'typo'\`, \`useBackend('typo')\` in a rule) does not compile:

\`\`\`ts
import { defineConfig } from 'sluice'

export default defineConfig({
  frontends: { web: { bind: '127.0.0.1:8080', backend: 'app' } },
  backends: { app: { servers: { a: '127.0.0.1:9001', b: '127.0.0.1:9002' } } },
})
\`\`\`

\`sluice run\` and \`sluice check\` look for \`sluice.config.ts\`, \`.mts\`, \`.js\`, \`.mjs\` and \`.json\` in the
current folder, in this order; \`-c FILE\` names another one, which may be CommonJS (\`module.exports\`) too. The default export may also be a promise of the
configuration, or a function that returns it; \`defineConfig\` takes these too. A named export \`tryIt\` is a command that \`sluice run\` prints
for you to try. Where it holds no function, the same object works as JSON.

A configuration is checked as a whole before anything starts: every error is told at once, with its path
(\`frontends.web.bind[0].address\`) and, for a misspelt key or value, what was probably meant. Unknown keys
are errors. Of rules it sees what can be seen without running them: constant verdicts, their fields, and
whether their list is the right one; and the table and counter of a function that \`track\` made.

What is allowed and probably not meant is a warning, from \`sluice check\` and in the log at the start: backends,
tables and applets that nothing uses, rules that never run, the same address twice, backups only, time-outs
that are off or shorter than connecting may take. A function among the rules may use any backend and any table,
so that with one none of these counts as unused.

## Units

| type | written as | notes |
|---|---|---|
| \`Duration\` | \`'250ms'\`, \`'30s'\`, \`'1.5m'\`, \`'1h'\`, \`'1d'\` | whole milliseconds, at most 24.8 days; a bare number is an error |
| \`Cidr\` | \`'10.0.0.0/8'\`, \`'192.0.2.1'\`, \`'2001:db8::/32'\` | one grammar here, in \`cidrList\` and in files: no leading zeros, no scopes (\`%eth0\`), host bits are ignored; a block of IPv4-mapped addresses (\`'::ffff:10.0.0.0/104'\`) is its IPv4 block |
| \`Size\` | \`'512B'\`, \`'64kB'\`, \`'1MB'\`, \`'1GB'\` | whole bytes; 1 kB is 1024 bytes |
`

/** docs/configuration.md as text. */
export function renderReference(): string {
  const sections = placesOf(config.schema, 'What a configuration consists of.')
  return `${[intro, ...sections.map(renderSection)].join('\n')}`
}

function renderSection({ path, description, object, also }: Place): string {
  const title = path === '' ? 'Top level' : `\`${path}\``
  return [
    `## ${title}`,
    '',
    description,
    ...(also.length > 0
      ? ['', `The same at ${also.map((other) => `\`${other}\``).join(' and ')}.`]
      : []),
    '',
    renderOptions(object),
    '',
  ].join('\n')
}

/** The options of an object as a table. */
export function renderOptions(object: z.ZodObject): string {
  const rows = Object.entries(object.shape).map(([key, field]) =>
    renderRow(key, field as z.ZodType),
  )
  return ['| key | type | default | meaning |', '|---|---|---|---|', ...rows].join('\n')
}

function renderRow(key: string, field: z.ZodType): string {
  const meta = metaOf(field)
  const standard =
    field instanceof z.ZodOptional
      ? meta.default === undefined
        ? ''
        : code(meta.default)
      : '**required**'
  const example = meta.example === undefined ? '' : ` Example: ${code(meta.example)}`
  return `| \`${key}\` | ${code(typeText(field))} | ${standard} | ${cell((meta.description ?? '') + example)} |`
}

/** Literals stand in code, prose does not. */
function code(text: string): string {
  const isProse = / /.test(text) && !/['{[|(<]/.test(text)
  const isWord = /^[a-z]+( |$)/.test(text) && !/^(true|false|number|string|boolean)/.test(text)
  return isProse || (isWord && !text.includes('|')) ? cell(text) : `\`${cell(text)}\``
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

/** The type of a field as text; objects are named by their own section. */
function typeText(schema: z.ZodType): string {
  const override = typeTextOverride(schema)
  if (override) return override
  const inner = unwrap(schema)
  if (inner instanceof z.ZodObject) return 'object'
  if (inner instanceof z.ZodRecord) return `{ NAME: ${typeText(inner.valueType as z.ZodType)} }`
  if (inner instanceof z.ZodArray) {
    const item = typeText(inner.element as z.ZodType)
    return item.includes(' | ') ? `(${item})[]` : `${item}[]`
  }
  if (inner instanceof z.ZodUnion) {
    return [...new Set(inner.options.map((option) => typeText(option as z.ZodType)))].join(' | ')
  }
  return 'unknown'
}

function typeTextOverride(schema: z.ZodType): string | undefined {
  return (
    metaOf(schema).type ??
    (schema instanceof z.ZodOptional ? metaOf(unwrap(schema)).type : undefined)
  )
}
