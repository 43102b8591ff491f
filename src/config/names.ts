import type { Issues } from './issues.js'

/** Names end up in logs, metrics and file names. */
export function checkNames(issues: Issues, section: string[], names: string[]): void {
  for (const name of names) {
    if (/^[A-Za-z0-9_][A-Za-z0-9_.:-]*$/.test(name)) continue
    issues.add(
      [...section, name],
      "a name has letters, digits, '_', '-', '.' and ':' only, and begins with a letter, digit or '_'.",
    )
  }
}
