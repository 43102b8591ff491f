#!/usr/bin/env node
/** The program `sluice`. */

import './early.js'

await import('./command.js')
