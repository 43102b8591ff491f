/** Things under their names and nothing else, also at run time. */
export function byName<T extends { readonly name: string }>(
  things: Iterable<T>,
): Readonly<Record<string, T>> {
  const named = Object.create(null) as Record<string, T>
  for (const thing of things) named[thing.name] = thing
  return Object.freeze(named)
}
