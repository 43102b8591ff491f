/** What does not keep to the rules of imports.test.ts yet. Nothing is added; what is mended goes. */

/** Imports from a layer above: 'file -> file'. */
export const upwards: readonly string[] = []

/** Imports from a sub-folder of another folder: 'file -> file'. */
export const privates: readonly string[] = []

/** Files that reach each other by imports. A circle may fall apart, and may not grow. */
export const circles: readonly (readonly string[])[] = []

/** Assignments of methods: 'file: object.method'. */
export const methodsReplaced: readonly string[] = []
