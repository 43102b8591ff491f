/** Variables of which nobody declared a name, and those of packages. */

import {
  type Connection,
  defineVar,
  setVar,
  type Variable,
  type Variables,
} from '#sluice/policy.js'
import { equal } from './equal.js'

equal<Variables, Record<string, Variable>>(true)

const user = defineVar<string>('package.user')

export function rule(conn: Connection) {
  conn.vars.anything = 1n
  // @ts-expect-error: no value of a variable
  conn.vars.other = {}
  user.set(conn, 'a')
  user.set(conn, undefined)
  // @ts-expect-error: of another type
  user.set(conn, 1)
  const name: string | undefined = user.get(conn)
  return setVar('name', name)
}
// @ts-expect-error: no value of a variable
setVar('name', {})
// @ts-expect-error: no type of a variable
defineVar<Date>('package.date')
