/** Names end up in logs, metrics and file names. */

import type { Issues } from './issues.js'

/** What a name may be, in words. */
export const NAME =
  "a name of letters, digits, '_', '-', '.' and ':' only, that begins with a letter, digit or '_'"

export function isName(name: unknown): boolean {
  return typeof name === 'string' && /^[A-Za-z0-9_][A-Za-z0-9_.:-]*$/.test(name)
}

export function checkNames(issues: Issues, section: string[], names: string[]): void {
  for (const name of names) {
    if (isName(name)) continue
    issues.add(
      [...section, name],
      "a name has letters, digits, '_', '-', '.' and ':' only, and begins with a letter, digit or '_'.",
    )
  }
}
