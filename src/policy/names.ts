/**
 * Names of a configuration that its rules and options may use, for the compiler: it tells a name
 * that is not there from one that it cannot know.
 */

declare const backendMeant: unique symbol
declare const tableMeant: unique symbol

/** Names that a configuration has. */
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

/** Names that parts of a configuration may use. Nothing is inferred from their use. */
export type NamesIn<Backends, Tables extends string> = Names<
  NoInfer<keyof Backends & string>,
  NoInfer<Tables>
>
