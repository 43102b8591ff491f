/** Variables of a connection: what policies keep on it, for rules, applets and keys behind them. */

import { SluiceError } from '../base/errors.js'
import { show } from '../base/units.js'

/** Values of variables. */
export type Variable = string | number | boolean | bigint | Uint8Array | undefined

/**
 * Names and types of an application's variables, by augmentation:
 *
 *     declare module 'sluice/policy' { interface Vars { tenant?: string } }
 *
 * Without any, every name may have every value. Packages use `defineVar`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: applications fill it
export interface Vars {}

/** Variables by name: those that `Vars` declares; any where it declares none. */
export type Variables = keyof Vars extends never ? Record<string, Variable> : Vars

/** One variable by its handle. */
export interface VarHandle<T extends Variable = Variable> {
  readonly name: string
  /** Undefined until it is set. */
  get(conn: { readonly vars: Variables }): T | undefined
  /** Undefined unsets it. */
  set(conn: { readonly vars: Variables }, value: T | undefined): void
}

/** Whether a value may be a variable's. */
export function isVariable(value: unknown): value is Variable {
  return (typeof value !== 'object' || value instanceof Uint8Array) && !NONE.includes(typeof value)
}

const NONE = ['function', 'symbol']

/** What `isVariable` takes, in words. */
export const VARIABLE = 'a string, a number, true, false, a bigint or a Uint8Array'

/**
 * A variable with a type, for packages, which must not declare what an application's `Vars` are.
 * It is `conn.vars[name]`, so that the name should say whose it is.
 *
 *     const user = defineVar<string>('my-package.user')
 *     user.set(conn, 'alice')
 */
export function defineVar<T extends Variable>(name: string): VarHandle<T> {
  if (typeof name !== 'string' || name === '') {
    const message = `defineVar: expected a name, a string that is not empty, got ${show(name)}.`
    throw new SluiceError('ERR_SLUICE_ARGUMENT', message)
  }
  return Object.freeze<VarHandle<T>>({
    name,
    get: ({ vars }) => (vars as Record<string, Variable>)[name] as T | undefined,
    set: ({ vars }, value) => {
      if (!isVariable(value)) {
        const message = `variable '${name}': expected ${VARIABLE}, got ${show(value)}.`
        throw new SluiceError('ERR_SLUICE_ARGUMENT', message)
      }
      const all = vars as Record<string, Variable>
      all[name] = value
    },
  })
}
