/**
 * Names of a configuration that its rules and options may use, for the compiler: it tells a name
 * that is not there from one that it cannot know.
 */

declare const backendMeant: unique symbol
declare const tableMeant: unique symbol

/** Names that a configuration has, or that its options use. */
export interface Names<Backend extends string = string, Table extends string = string> {
  backend: Backend
  table: Table
}

/**
 * What names a backend. A method is compared in both directions: a name that is known nowhere
 * (`string`) fits every configuration, one that is known must be in it. It is never there.
 */
export interface NamesBackend<Backend extends string = string> {
  readonly [backendMeant]?: { is(name: Backend): void }
}

/** What names a table: as `NamesBackend`. */
export interface NamesTable<Table extends string = string> {
  readonly [tableMeant]?: { is(name: Table): void }
}

/** Backends, and in each its servers, by name; of the values nothing is known. */
export type BackendNames = Record<string, Record<string, unknown>>

/** Things by name: those that are there, or perhaps, where the names are not known. */
export type ByName<Name extends string, Thing> = string extends Name
  ? Readonly<Record<string, Thing | undefined>>
  : Readonly<Record<Name, Thing>>

/** Servers of a configuration as 'backend/server'. */
export type ServerPaths<Backends> = {
  [Name in keyof Backends & string]: `${Name}/${keyof Backends[Name] & string}`
}[keyof Backends & string]

/**
 * A part of a configuration. `Part` is checked; from `Uses`, which has `Used` for names and is never
 * taken, the compiler infers which names the options use.
 */
export type Using<Used extends string, Uses, Part> = [Used] extends [never] ? Uses : Part

/**
 * Names that the options of a configuration may use. Where one of those that they use is a `string`,
 * the compiler knows nothing, and any is right: `sluice check` tells.
 */
export type NamesIn<Backends, Tables extends string, Used extends string> = string extends Used
  ? Names
  : Names<NoInfer<keyof Backends & string>, NoInfer<Tables>>
