/** Options of the plugins that ship: declared and told as those of the configuration are. */

import { type Cidr, CidrBlocks } from '../../address/set.js'
import type { Checked, Options, Resolved, Section, Written } from '../../options/section.js'
import { leaf, list } from '../../options/type.js'
import type { OptionsSchema } from '../../policy/plugin.js'

/** The check of a section, for `definePlugin`. `W`: the interface that editors show, which has the same options. */
export function optionsOf<W extends Written<O>, O extends Options>(
  section: Section<O>,
): OptionsSchema<W, Resolved<O>> {
  const schema = section.schema.transform((written) =>
    section.resolve(written as Checked<Written<O>>),
  )
  return schema as unknown as OptionsSchema<W, Resolved<O>>
}

/** Networks, each of which is checked. */
export const networks = list(
  leaf<Cidr>(
    ['string'],
    { type: 'Cidr', expected: "a CIDR block or an address such as '10.0.0.0/8'" },
    (value: string) => {
      const message = new CidrBlocks().add(value)
      return message === undefined ? undefined : { message }
    },
  ),
)
