/** The PROXY header in front of what a client sends. */

import { parseProxyHeader } from '../../../codec/proxy.js'
import type { ConnectionTable } from '../../../wire/table.js'
import { recordProxied } from '../../model/addresses.js'
import type { Chunks } from '../chunks.js'

const NO_BYTES = new Uint8Array(0)

export class ProxyHeader {
  /** TLVs that policy has not seen yet. */
  #tlvs: Uint8Array = NO_BYTES

  /**
   * Takes it off `input`, and its addresses into the record of `slot`. 'partial' where more of it
   * is to come; else a value of `Code` that says what is wrong with it.
   */
  take(input: Chunks, limit: number | undefined, table: ConnectionTable, slot: number) {
    const result = parseProxyHeader(input.view(), limit)
    if (result.status === 'error') return result.code
    if (result.status === 'partial') return 'partial'
    const { header } = result
    recordProxied(table, slot, header)
    if (header.tlvs.length > 0) this.#tlvs = Uint8Array.from(header.tlvs)
    input.consume(header.length)
    return 'done'
  }

  /** For the next question to policy; told once. */
  tellTlvs(): Uint8Array {
    const tlvs = this.#tlvs
    this.#tlvs = NO_BYTES
    return tlvs
  }
}
