/** The sections of the configuration: every object with options that a schema leads to. */

import { z } from 'zod'
import type { Meta } from './type.js'

/** An object with options, and where it stands. */
export interface Place {
  /** 'frontends.NAME.bind', '' for the whole. */
  path: string
  description: string
  object: z.ZodObject
  /** Other places of the same object. */
  also: string[]
}

/** Outermost first. */
export function placesOf(schema: z.ZodType, description = ''): Place[] {
  const places: Place[] = []
  collect('', description, schema, places)
  return places
}

function collect(path: string, description: string, schema: z.ZodType, into: Place[]): void {
  for (const [suffix, object] of objectsIn(schema)) {
    const same = into.find((place) => place.object === object)
    if (same) {
      same.also.push(path + suffix)
      continue
    }
    into.push({ path: path + suffix, description, object, also: [] })
    for (const [key, field] of Object.entries(object.shape)) {
      const at = path + suffix === '' ? key : `${path}${suffix}.${key}`
      const meta = metaOf(field as z.ZodType)
      collect(at, meta.description ?? '', field as z.ZodType, into)
    }
  }
}

/** The objects that a schema leads to, with what stands for the names and indices on the way. */
function objectsIn(schema: z.ZodType): [string, z.ZodObject][] {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodObject) return [['', inner]]
  const below = (suffix: string, next: unknown): [string, z.ZodObject][] =>
    objectsIn(next as z.ZodType).map(([rest, object]) => [suffix + rest, object])
  if (inner instanceof z.ZodRecord) return below('.NAME', inner.valueType)
  if (inner instanceof z.ZodArray) return below('[i]', inner.element)
  if (!(inner instanceof z.ZodUnion)) return []
  const found = inner.options.flatMap((option) => below('', option))
  // One object in two branches (bind, or a list of binds) is one section.
  return found.filter(([, object], i) => found.findIndex(([, other]) => other === object) === i)
}

export function metaOf(schema: z.ZodType): Meta {
  return (schema.meta() ?? {}) as Meta
}

/** A schema of what is written: without its being optional, and without what becomes of it. */
export function unwrap(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault)
    return unwrap(schema.unwrap() as z.ZodType)
  return schema instanceof z.ZodPipe ? unwrap(schema.in as z.ZodType) : schema
}
