/** For tests of types: they are compiled by `npm run build:test`, and nothing runs. */

/** Whether both are the same type, and not only assignable to each other. */
export type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** `equal<A, B>(true)` compiles where `A` is `B`, `equal<A, B>(false)` where it is not. */
export function equal<A, B>(_is: Equal<A, B>): void {}
