/** `sluice init`: writes a configuration to begin with. */

import { writeFile } from 'node:fs/promises'
import { extname, resolve } from 'node:path'
import { SluiceError } from '../base/errors.js'
import { configFiles } from '../config/load.js'
import { configTemplate, jsonTemplate } from './template.js'

export interface InitOptions {
  force?: boolean
}

const EXTENSIONS = ['.ts', '.mts', '.js', '.mjs', '.json']

/** Writes `file`; a file that is there is replaced with `force` only. */
export async function init(
  file: string = configFiles[0],
  options: InitOptions = {},
): Promise<void> {
  const extension = extname(file)
  if (!EXTENSIONS.includes(extension)) {
    throw new SluiceError(
      'ERR_SLUICE_CONFIG_LOAD',
      `${file}: expected a name that ends in ${EXTENSIONS.join(', ')}.`,
    )
  }
  try {
    await writeFile(resolve(file), templateFor(extension), { flag: options.force ? 'w' : 'wx' })
  } catch (error) {
    throw new SluiceError('ERR_SLUICE_CONFIG_LOAD', `${file}: ${whyNot(error)}`, { cause: error })
  }
  const flag = (configFiles as readonly string[]).includes(file) ? '' : ` -c ${file}`
  process.stdout.write(`Wrote ${file}. Next: 'sluice check${flag}', then 'sluice run${flag}'.\n`)
}

function templateFor(extension: string): string {
  if (extension === '.json') return jsonTemplate
  return extension === '.ts' || extension === '.mts' ? configTemplate : withoutTypes(configTemplate)
}

/** The template uses types in three places only; a test runs what is left as JavaScript. */
function withoutTypes(text: string): string {
  return text
    .replace('type Connection, ', '')
    .replace('(name: string)', '(name)')
    .replace('(conn: Connection)', '(conn)')
}

function whyNot(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EEXIST') return 'is there already; --force replaces it.'
  if (code === 'ENOENT') return 'there is no such folder.'
  return message
}
