/** Lists of CIDR blocks: node --expose-gc bench/micro/cidr.mjs (after npm run build:ts). */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CidrList, cidrFile } from '#sluice/policy/cidr.js'
import { dotted, garbage, measure, random32 } from './measure.mjs'

const ENTRIES = 100_000
const random = random32()
const group = () => (random() & 0xffff).toString(16)
const cidrs4 = Array.from({ length: ENTRIES }, () => `${dotted(random())}/${16 + (random() % 17)}`)
const cidrs6 = Array.from(
  { length: ENTRIES },
  () => `2001:${group()}:${group()}:${group()}::/${40 + (random() % 25)}`,
)
// Fresh strings, as conn.src gives them.
const asked4 = Array.from({ length: 1 << 16 }, () => dotted(random()))
const asked6 = Array.from(
  { length: 1 << 16 },
  () => `2001:${group()}:${group()}:${group()}::${group()}`,
)

function ask(list, addresses) {
  return (operations) => {
    let found = 0
    for (let i = 0; i < operations; i++) if (list.has(addresses[i & 0xffff])) found++
    return found
  }
}

for (const [name, cidrs, asked] of [
  ['IPv4', cidrs4, asked4],
  ['IPv6', cidrs6, asked6],
]) {
  const start = performance.now()
  const list = new CidrList(cidrs)
  console.log(`${name}: ${list.size} blocks built in ${(performance.now() - start).toFixed(0)} ms`)
  measure(`${name}: has, one of 65536 random addresses`, 1_000_000, ask(list, asked))
  garbage(`${name}: has`, 1_000_000, ask(list, asked))
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
const path = join(folder, 'list.txt')
writeFileSync(path, cidrs4.join('\n'))
const file = cidrFile(path, { interval: 0 })
let last = performance.now()
let longest = 0
const watch = setInterval(() => {
  longest = Math.max(longest, performance.now() - last)
  last = performance.now()
}, 0)
const start = performance.now()
await file.reload()
await new Promise((done) => setTimeout(done, 5))
clearInterval(watch)
console.log(
  `file: ${file.size} lines loaded again in ${(performance.now() - start).toFixed(0)} ms, ` +
    `longest pause of the event loop ${longest.toFixed(0)} ms`,
)
rmSync(folder, { recursive: true })
