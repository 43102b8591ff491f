/** Names of hosts, as configurations and policies write them. */

/** Lower case, without a final dot. */
export function normalName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/

/** RFC 1123 section 2.1, and underscores, which are in use. Precondition: lower case. */
export function isHostName(name: string): boolean {
  return HOST_NAME.test(name)
}

/** '*.example.com' for 'a.example.com': one label (RFC 9525 section 6.3). Undefined for a name without a dot. */
export function wildcardOf(name: string): string | undefined {
  const dot = name.indexOf('.')
  return dot > 0 ? `*${name.slice(dot)}` : undefined
}

/** What a table has for a name: exactly, then for '*' in place of its first label, then for '*'. */
export function byName<T>(table: ReadonlyMap<string, T>, name: string): T | undefined {
  const exact = table.get(name)
  if (exact !== undefined) return exact
  const wildcard = wildcardOf(name)
  return (wildcard === undefined ? undefined : table.get(wildcard)) ?? table.get('*')
}
