// Loaded before everything else where SLUICE_TEST_WORKERS says how many threads a
// native engine gets by default: also in proxies whose configuration is silent.

const { defaults } = await import('../../dist/config/defaults.js')
defaults.workers = Number(process.env.SLUICE_TEST_WORKERS)
