/** Names of hosts, as configurations and policies write them. */

/** Lower case, without a final dot. */
export function normalName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

/** RFC 1123 section 2.1, and underscores, which are in use. Precondition: lower case. */
export function isHostName(name: string): boolean {
  const label = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?'
  return name.length <= 253 && new RegExp(`^${label}(?:\\.${label})*$`).test(name)
}
