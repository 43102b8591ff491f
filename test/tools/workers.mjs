// Loaded before everything else where SLUICE_TEST_WORKERS says how many threads a
// native engine gets by default: also in proxies whose configuration is silent.

const { global } = await import('../../dist/options/process.js')
const { workers } = global.options
workers.resolve = (written) => written ?? Number(process.env.SLUICE_TEST_WORKERS)
