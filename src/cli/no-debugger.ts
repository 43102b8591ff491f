/**
 * SIGUSR1 opens Node's debugger for everybody on the machine, unless somebody listens to the
 * signal. Imported before everything else, so that no moment is left for it.
 */

process.on('SIGUSR1', () => {})
