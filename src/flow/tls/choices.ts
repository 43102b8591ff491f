/** Verdicts of ClientHello rules: what they choose about the client's TLS. */

import type { ClientCertDemand, Verdict } from '../../policy/types.js'
import type { RuleStage } from '../rules/compile.js'
import { Outcome } from '../rules/scope.js'
import type { DownstreamTls } from './downstream.js'

const DEMANDS: readonly ClientCertDemand[] = ['none', 'optional', 'required']

/** Whose TLS it is. */
interface Chooser {
  rule: string | undefined
  makeSecure(): DownstreamTls
}

/** Applies one; throws where it makes no sense, or is no verdict. */
export function applyHelloVerdict(
  conn: Chooser,
  verdict: Verdict,
  stage: RuleStage,
  rule: string,
): number {
  switch (verdict.kind) {
    case 'certificate':
      checkStage(stage, 'useCertificate')
      if (typeof verdict.name !== 'string') throw new TypeError(`certificate ${verdict.name}`)
      conn.makeSecure().certificateName = verdict.name
      break
    case 'clientCert':
      checkStage(stage, 'clientCert')
      if (!DEMANDS.includes(verdict.demand)) {
        throw new TypeError(`'${String(verdict.demand)}' is no demand for a client certificate`)
      }
      conn.makeSecure().clientCertDemand = verdict.demand
      break
    case 'passthrough':
      checkStage(stage, 'passthrough')
      conn.makeSecure().passes = true
      break
    default:
      throw new TypeError(`'${String((verdict as { kind: unknown }).kind)}' is no verdict`)
  }
  conn.rule = rule
  return verdict.kind === 'passthrough' ? Outcome.PASS : Outcome.NEXT
}

function checkStage(stage: RuleStage, what: string): void {
  if (stage !== 'clientHello') throw new TypeError(`${what}() is for ClientHello rules only`)
}
