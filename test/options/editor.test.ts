/** What an editor shows of an option: asked of TypeScript's language server, over the package's types. */

import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { backend } from '#sluice/options/backend.js'
import { algorithmOptions } from '#sluice/options/balance.js'
import { bind } from '#sluice/options/bind.js'
import { frontend } from '#sluice/options/frontend.js'
import { global } from '#sluice/options/process.js'
import type { Option } from '#sluice/options/section.js'
import { server } from '#sluice/options/server.js'
import { table } from '#sluice/options/table.js'
import { tlsOfBind } from '#sluice/options/tls.js'
import { counters } from '#sluice/policy/counters.js'
import { repository } from '../cli/spawn.js'

const text = `import { defineConfig } from '#sluice/index.js'
export default defineConfig({
  global: { verdictTimeout: '1s' },
  tables: { t: { key: 'ip', size: 1, keyLength: 1, store: { bytesInRate: '1s' } } },
  frontends: {
    web: { bind: [{ address: ':1', backlog: 5, tls: { strictSni: true } }], onError: 'open' },
  },
  backends: {
    app: {
      servers: { a: { address: 'h:1', weight: 3, sendProxy: { version: 2 } } },
      balance: { algorithm: 'hash', boundedLoad: 125 },
      retries: 1,
    },
  },
})
`

/** Each with its declaration. */
const shown: Readonly<Record<string, Pick<Option, 'doc' | 'standard'>>> = {
  verdictTimeout: global.options.verdictTimeout,
  keyLength: table.options.keyLength,
  bytesInRate: { doc: counters.bytesInRate.doc, standard: 'off' },
  backlog: bind.options.backlog,
  strictSni: tlsOfBind.options.strictSni,
  onError: frontend.options.onError,
  weight: server.options.weight,
  sendProxy: server.options.sendProxy,
  boundedLoad: algorithmOptions.hash.boundedLoad,
  retries: backend.options.retries,
}

interface Message {
  id?: number
  method?: string
  result?: { contents?: { value?: string } } | null
  params?: { items?: unknown[] }
}

/** As much of the protocol as a question takes. */
class LanguageServer {
  readonly #process: ChildProcessWithoutNullStreams
  readonly #waiting = new Map<number, (answer: Message) => void>()
  #buffer = Buffer.alloc(0)
  #last = 0

  constructor() {
    const tsc = join(repository, 'node_modules/typescript/bin/tsc')
    this.#process = spawn(process.execPath, [tsc, '--lsp', '--stdio'], { cwd: repository })
    this.#process.stdout.on('data', (data: Buffer) => this.#read(data))
  }

  ask(method: string, params: object): Promise<Message> {
    const id = ++this.#last
    this.#send({ id, method, params })
    return new Promise((resolve) => this.#waiting.set(id, resolve))
  }

  tell(method: string, params: object): void {
    this.#send({ method, params })
  }

  stop(): void {
    this.#process.kill()
  }

  #send(message: object): void {
    const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }))
    this.#process.stdin.write(`Content-Length: ${body.length}\r\n\r\n`)
    this.#process.stdin.write(body)
  }

  #read(data: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, data])
    for (;;) {
      const head = /Content-Length: (\d+)\r\n\r\n/.exec(this.#buffer.toString('latin1'))
      if (!head) return
      const start = head.index + head[0].length
      const end = start + Number(head[1])
      if (this.#buffer.length < end) return
      this.#take(JSON.parse(this.#buffer.subarray(start, end).toString()) as Message)
      this.#buffer = this.#buffer.subarray(end)
    }
  }

  #take({ id, method, params, result }: Message): void {
    if (id === undefined) return
    // It asks, too: for settings, of which there are none.
    if (method) this.#send({ id, result: params?.items?.map(() => null) ?? null })
    else this.#waiting.get(id)?.({ result: result ?? null })
  }
}

const editor = new LanguageServer()
after(() => editor.stop())
const uri = pathToFileURL(join(repository, 'test/options/sample.ts')).href

test('an editor opens a configuration', async () => {
  await editor.ask('initialize', {
    processId: process.pid,
    rootUri: pathToFileURL(repository).href,
    capabilities: { textDocument: { hover: { contentFormat: ['markdown'] } } },
  })
  editor.tell('initialized', {})
  editor.tell('textDocument/didOpen', {
    textDocument: { uri, languageId: 'typescript', version: 1, text },
  })
})

for (const [name, { doc, standard }] of Object.entries(shown)) {
  test(`it shows what ${name} is for, and its default`, async () => {
    const lines = text.split('\n')
    const line = lines.findIndex((one) => one.includes(name))
    const position = { line, character: lines[line]?.indexOf(name) }
    const { result } = await editor.ask('textDocument/hover', { textDocument: { uri }, position })
    const words = result?.contents?.value?.replace(/\s+/g, ' ') ?? ''
    assert.ok(words.includes(doc), words)
    const rest = words.slice(words.indexOf(doc) + doc.length).replace('Default:', 'Default')
    assert.ok(rest.startsWith(` Default ${standard}.`), words)
  })
}
