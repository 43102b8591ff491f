/** What is proxied. */

import { show } from '../base/units.js'
import { leaf, type Type } from './type.js'

export const mode: Type<'tcp'> = leaf(
  ['string'],
  { type: "'tcp'", expected: "'tcp'" },
  (value: string) => {
    if (value === 'tcp') return undefined
    const http = /^http/i.test(value)
      ? ': HTTP is carried as it is, requests are not looked at'
      : ''
    return { message: `expected 'tcp', got ${show(value)}${http}.` }
  },
)
