/** What other layers use of the model of the contract: the engine of `sluice/testing` runs on it. */

export { addressesOf, recordProxied } from './model/addresses.js'
export { Exchange } from './model/exchange.js'
export { Inactivity, type Watched } from './model/inactivity.js'
export { OwnTimeouts } from './model/own-timeouts.js'
export { PendingHandshakes, Runner } from './model/pending.js'
export { phaseOfHandshake } from './model/phase.js'
