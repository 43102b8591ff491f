/**
 * Every error that Sluice throws to its users, each with a code.
 */

const brand = Symbol.for('sluice.error')

export type ErrorCode =
  | 'ERR_SLUICE_CONFIG'
  | 'ERR_SLUICE_CONFIG_LOAD'
  | 'ERR_SLUICE_LISTEN'
  | 'ERR_SLUICE_ENGINE'
  | 'ERR_SLUICE_TLS'
  | 'ERR_SLUICE_ABI_MISMATCH'
  | 'ERR_SLUICE_STATE'
  | 'ERR_SLUICE_APPLET'
  | 'ERR_SLUICE_PLUGIN'
  | 'ERR_SLUICE_STARTED'
  | 'ERR_SLUICE_ARGUMENT'

/** An error with a stable `code`; `instanceof` works across copies of the package. */
export class SluiceError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'SluiceError'
    this.code = code
    Object.defineProperty(this, brand, { value: true })
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && brand in value
  }
}

/** One thing wrong with a configuration. */
export interface ConfigIssue {
  /** Path in the configuration: `frontends.web.bind[0].address`. */
  path: string
  message: string
  /** Nearest key or value, for a misspelt one. */
  suggestion?: string
}

/** Everything wrong with a configuration at once. */
export class ConfigError extends SluiceError {
  readonly issues: readonly ConfigIssue[]
  readonly file: string | undefined

  constructor(issues: readonly ConfigIssue[], file?: string) {
    const lines = issues.map(
      ({ path, message, suggestion }) =>
        `  ${path || '(root)'}: ${message}${suggestion ? ` Did you mean '${suggestion}'?` : ''}`,
    )
    super(
      'ERR_SLUICE_CONFIG',
      `${file ?? 'configuration'}: ${issues.length} error${issues.length === 1 ? '' : 's'}\n${lines.join('\n')}`,
    )
    this.name = 'ConfigError'
    this.issues = issues
    this.file = file
  }

  /** Without its own, every SluiceError would be one. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return (
      SluiceError[Symbol.hasInstance](value) && (value as SluiceError).code === 'ERR_SLUICE_CONFIG'
    )
  }
}
