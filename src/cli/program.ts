/** The command line: commands, options, and help that teaches. */

import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError, Option } from 'commander'
import { check } from './check.js'
import { init } from './init.js'
import { run } from './run.js'

const CONFIG = 'configuration (default: sluice.config.ts, .mts, .js, .mjs or .json in this folder)'

const mainHelp = `
Begin:
  $ sluice init                  write a sluice.config.ts with comments
  $ sluice run                   run it: two servers answer inside the process
  $ curl http://127.0.0.1:8080/  see one of them

Then:
  $ sluice check                 every mistake of the configuration at once, with its path
  $ sluice run --workers 2       more engine threads
  $ sluice run --engine js       without the native addon

Exit codes:
  0    done; 'run' was stopped by a signal and has drained
  1    the configuration or a certificate is wrong or cannot be loaded
  2    the command line is wrong
  3    'run' could not start: an address in use, no engine
  70   the engine or the program failed
  130  a second SIGINT stopped 'run' at once (143: SIGTERM)

Where to go next, in the folder of the package (${fileURLToPath(new URL('../../', import.meta.url))}):
  docs/configuration.md  every option
  docs/policy.md         rules and applets in TypeScript
  docs/logs.md           what the lines of the log say
  docs/errors.md         why a connection ended, and what to do
With DEBUG=1 errors come with their stack.`

const runHelp = `
It prints where it listens, and on a terminal one line a second of what it does.
Log lines are JSON on stdout (or in log.file); a terminal gets them as text,
in colours (NO_COLOR, FORCE_COLOR).

Signals:
  SIGTERM, SIGINT  stop accepting (after global.grace) and let sessions end, at
                   most for global.drainTimeout (30s); a second one stops at once
  SIGHUP           read certificates, keys and lists of authorities again now.
                   It happens by itself when files change (global.tlsReload);
                   what is broken changes nothing, and the log says why
  SIGUSR1          open log.file anew, after it was moved away
  SIGUSR2          refused: a new configuration needs a new process

With Type=notify, systemd hears of the start, reloads and the stop.

Examples:
  $ sluice run
  $ sluice run -c /etc/sluice/proxy.config.ts --log-level warn
  $ sluice run --live 2>live.txt >sessions.json
  $ sluice run --log-format pretty | less`

const checkHelp = `
Nothing is started or bound. Sockets from systemd need not be there. The log's
file must be writable, the folders of unix sockets and the interfaces of
addresses such as [fe80::1%eth0] there.

Every certificate is read: key and certificate match, the chain is in order,
nothing has expired.

Warnings do not fail: certificates with less than 30 days left or hidden by
sniRoutes, weak keys, sections that nothing uses, rules that never run, odd
time-outs. Each has its path and says what to do.

With --json errors and warnings are { path, message, suggestion }; the exit
code says the same as "ok".

Examples:
  $ sluice check
  $ sluice check -c proxy.config.json && systemctl restart sluice
  $ sluice check --json | jq -r '.errors[].path'`

const initHelp = `
The name's ending chooses the language: .ts, .mts, .js, .mjs or .json.

Examples:
  $ sluice init
  $ sluice init proxy.config.mjs`

const engines = ['native', 'js', 'auto']
const formats = ['json', 'pretty']
const levels = ['trace', 'debug', 'info', 'warn', 'error', 'silent']

/** Behind an error: many write the file as an argument. */
const more = (command: string) =>
  `('-c FILE' names the configuration; 'sluice ${command} --help' tells more)`

export function createProgram(): Command {
  const program = new Command('sluice')
    .description('A programmable proxy: Rust moves the bytes, TypeScript decides.')
    .option('-v, --version', 'print the versions of sluice, its engines and their contract')
    .addHelpText('after', mainHelp)
    .showSuggestionAfterError()
    .showHelpAfterError("('sluice --help' tells more)")
    .exitOverride()

  program
    .command('run')
    .description('run the proxy')
    .option('-c, --config <file>', CONFIG)
    .addOption(
      new Option(
        '--engine <kind>',
        "overrides global.engine; 'auto' takes native where it loads",
      ).choices(engines),
    )
    .option('--workers <n>', 'engine threads; overrides global.workers', positiveInteger)
    .addOption(new Option('--log-level <level>', 'overrides log.level').choices(levels))
    .addOption(
      new Option('--log-format <format>', 'overrides log.format; a terminal gets pretty').choices(
        formats,
      ),
    )
    .option('--live', 'print what it does, also where there is no terminal (every 10 s)')
    .option('--no-live', 'do not, not even on a terminal')
    .addHelpText('after', runHelp)
    .showHelpAfterError(more('run'))
    .action(run)

  program
    .command('check')
    .description('check a configuration, without starting anything')
    .option('-c, --config <file>', CONFIG)
    .option('--json', 'print one JSON object: ok, file, summary, errors, warnings')
    .addHelpText('after', checkHelp)
    .showHelpAfterError(more('check'))
    .action(check)

  program
    .command('init')
    .description('write a configuration with comments')
    .argument('[file]', 'file to write (default: sluice.config.ts)')
    .option('--force', 'replace a file that is there')
    .addHelpText('after', initHelp)
    .action(init)

  return program
}

function positiveInteger(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= 256) return value
  throw new InvalidArgumentError('Expected a whole number from 1 to 256.')
}
