/**
 * Names of a configuration that its rules and options may use, for the compiler: it tells a name
 * that is not there from one that it cannot know.
 */

declare const backendMeant: unique symbol
declare const tableMeant: unique symbol
declare const stageMeant: unique symbol

/** Names that a configuration has, or that its options use; and the stage of a list of rules. */
export interface Names<
  Backend extends string = string,
  Table extends string = string,
  Stage extends string = string,
> {
  backend: Backend
  table: Table
  stage: Stage
}

/** The same names in the rules of one stage. */
export type At<Stage extends string, N extends Names> = Names<N['backend'], N['table'], Stage>

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

/** What is for one stage only: as `NamesBackend`. */
export interface NamesStage<Stage extends string = string> {
  readonly [stageMeant]?: { is(stage: Stage): void }
}

/** The stage that a verdict is for; unknown where any is. */
export type StageOf<V> = V extends { readonly [stageMeant]?: { is(stage: infer S): void } }
  ? S
  : unknown

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
