/** Alternative names of a certificate. */

/**
 * Takes apart what Node makes of them, 'DNS:a.example, DNS:"odd, name"': names with special
 * characters are JSON strings. The result has them plain, each with its kind: 'DNS:odd, name'.
 */
export function altNames(text: string | undefined): string[] {
  const names: string[] = []
  for (const [, type, quoted, plain] of (text ?? '').matchAll(
    /([^:,]+):(?:("(?:[^"\\]|\\.)*")|([^,]*))(?:, |$)/g,
  )) {
    names.push(`${type}:${quoted === undefined ? plain : JSON.parse(quoted)}`)
  }
  return names
}
