/** A name that nothing has. */

import { SluiceError } from './errors.js'
import { suggest } from './suggest.js'

/** ERR_SLUICE_ARGUMENT: "There is no backend 'ap'. Did you mean 'app'?" */
export function unknownName(what: string, name: string, known: Iterable<string>): SluiceError {
  const near = suggest(name, known)
  const hint = near === undefined ? '' : ` Did you mean '${near}'?`
  return new SluiceError('ERR_SLUICE_ARGUMENT', `There is no ${what} '${name}'.${hint}`)
}
