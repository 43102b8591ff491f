/**
 * The types of the configuration as users write it, as the declarations of
 * options have them: interfaces that an editor shows as they are.
 */

import { config } from '../config.js'
import { liveness } from '../liveness.js'
import { pluginParts } from '../plugin.js'
import { comment } from '../section.js'
import { type Type, usesNames } from '../type.js'

const HEADER = `/**
 * The configuration as users write it. Generated from the options declared in
 * this folder by \`npm run generate\`. Do not edit.
 */
`

/** Where the types live that options refer to. */
const homes: Readonly<Record<string, string>> = {
  Cidr: '../address/set.js',
  Duration: '../base/units.js',
  Size: '../base/units.js',
  ClientHello: '../codec/tls.js',
  Applet: '../policy/applet.js',
  Started: '../policy/live.js',
  At: '../policy/names.js',
  BackendNames: '../policy/names.js',
  Names: '../policy/names.js',
  NamesIn: '../policy/names.js',
  Using: '../policy/names.js',
  Plugin: '../policy/plugin.js',
  HandshakeRules: '../policy/rule.js',
  Rules: '../policy/rule.js',
  Connection: '../policy/types.js',
  TlsInfo: '../policy/types.js',
}

/** src/options/written.ts as text: every type that has a name, outermost first. */
export function renderTypes(): string {
  const types = new Map<string, Type>()
  // Binds and servers have the options of liveness among their own; parts come from functions.
  for (const root of [config, liveness, pluginParts]) collect(root as Type, types)
  const body = [...types.values()].map(declaration).join('\n')
  return [HEADER, `${imports(body)}\n`, body].join('\n')
}

function collect(type: Type, into: Map<string, Type>): void {
  const { name, parts } = type
  const known = name === undefined ? undefined : into.get(name)
  if (name !== undefined && !known) into.set(name, type)
  if (!known) for (const part of parts) collect(part, into)
}

function declaration(type: Type): string {
  const { doc } = type
  const parameters = [...(type.parameters ?? [])]
  // The whole has the names that its parts use.
  if (usesNames(type) && type !== (config as Type)) parameters.unshift('N extends Names = Names')
  const name = parameters.length === 0 ? type.name : `${type.name}<${parameters.join(', ')}>`
  const code = type.code('')
  const head = doc === undefined ? '' : comment(doc, '')
  return code.startsWith('{\n')
    ? `${head}export interface ${name} ${code}\n`
    : `${head}export type ${name} = ${code}\n`
}

/** Of what is used, a line for each file. */
function imports(body: string): string {
  const used = Object.keys(homes).filter((name) => new RegExp(`\\b${name}\\b`).test(body))
  const files = [...new Set(used.map((name) => homes[name] as string))]
  return files
    .map((file) => {
      const names = used.filter((name) => homes[name] === file)
      return `import type { ${names.join(', ')} } from '${file}'`
    })
    .join('\n')
}
