/** The command line, from its arguments to its exit code. */

import { CommanderError } from 'commander'
import { escapeLines } from '../log/escape.js'
import { describeError, ExitCode, exitCodeOf } from './exit.js'
import { createProgram } from './program.js'
import { versionText } from './version.js'

// A reader that goes away ('sluice ... | head') is no reason to stop.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

const code = await main(process.argv)
if (code !== ExitCode.OK) process.exit(code)

async function main(argv: string[]): Promise<number> {
  try {
    if (argv[2] === '--version' || argv[2] === '-v') {
      process.stdout.write(`${await versionText()}\n`)
      return ExitCode.OK
    }
    await createProgram().parseAsync(argv)
    return ExitCode.OK
  } catch (error) {
    // Commander has printed its own message.
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE
    process.stderr.write(`${escapeLines(describeError(error))}\n`)
    return exitCodeOf(error)
  }
}
