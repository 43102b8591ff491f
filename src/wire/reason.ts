/**
 * Close reasons: `by` in bits 0 to 3, `phase` in bits 4 to 11, `code` in bits
 * 12 to 23 of one word, as crates/wire/src/errors.rs packs them.
 */

import {
  type ByLabel,
  ByLabels,
  type CodeLabel,
  CodeLabels,
  type PhaseLabel,
  PhaseLabels,
} from './wire.js'

/** A reason word in words. */
export interface Reason {
  by: ByLabel
  phase: PhaseLabel
  code: CodeLabel
}

/** Packs values of `By`, `Phase` and `Code` into a reason word. */
export function packReason(by: number, phase: number, code: number): number {
  return by | (phase << 4) | (code << 12)
}

export function reasonBy(reason: number): number {
  return reason & 0xf
}

export function reasonPhase(reason: number): number {
  return (reason >> 4) & 0xff
}

export function reasonCode(reason: number): number {
  return (reason >> 12) & 0xfff
}

/** The same reason at another phase. */
export function withPhase(reason: number, phase: number): number {
  return (reason & ~0xff0) | (phase << 4)
}

/** Labels of a reason word. A value from a newer engine reads as 'internal' at 'data' by 'proxy'. */
export function unpackReason(reason: number): Reason {
  return {
    by: ByLabels[reasonBy(reason)] ?? 'proxy',
    phase: PhaseLabels[reasonPhase(reason)] ?? 'data',
    code: CodeLabels[reasonCode(reason)] ?? 'internal',
  }
}

/** 'client/data/done'. */
export function formatReason(reason: number): string {
  const { by, phase, code } = unpackReason(reason)
  return `${by}/${phase}/${code}`
}
