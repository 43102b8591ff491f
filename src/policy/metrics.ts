/**
 * Metrics that plugins keep, in the words of prom-client: counters and gauges with labels. They
 * are in `proxy.stats().plugins`.
 */

import { SluiceError } from '../base/errors.js'
import { show } from '../base/units.js'

export type Labels = Readonly<Record<string, string | number>>

/** Goes up only. */
export interface Counter {
  /** Adds `value`, 1 where it is not given. Throws a TypeError for less than 0. */
  inc(value?: number): void
  inc(labels: Labels, value?: number): void
}

/** Goes up and down. */
export interface Gauge extends Counter {
  dec(value?: number): void
  dec(labels: Labels, value?: number): void
  set(value: number): void
  set(labels: Labels, value: number): void
}

/** What makes metrics. The same name again gives the same metric. */
export interface Metrics {
  /** `name`: lower-case letters, digits and '_', such as 'refused_total'. */
  counter(name: string, help: string): Counter
  gauge(name: string, help: string): Gauge
}

/** A metric as it stands. */
export interface MetricStats {
  /** With the plugin's name in front: 'rate_limit_refused_total'. */
  name: string
  type: 'counter' | 'gauge'
  help: string
  /** One for each combination of labels that was used. */
  values: { labels: Record<string, string>; value: number }[]
}

/** Combinations of labels of one metric; more are counted together, every label being 'other'. */
const MOST_SERIES = 1_000

interface Series {
  readonly labels: Record<string, string>
  value: number
}

class Metric implements Gauge {
  readonly #type: MetricStats['type']
  readonly #name: string
  readonly #help: string
  readonly #onFull: (metric: string) => void
  readonly #series = new Map<string, Series>()
  #full = false

  constructor(
    type: MetricStats['type'],
    name: string,
    help: string,
    onFull: (metric: string) => void,
  ) {
    this.#type = type
    this.#name = name
    this.#help = help
    this.#onFull = onFull
  }

  get type(): MetricStats['type'] {
    return this.#type
  }

  inc(labels?: Labels | number, value?: number): void {
    const by = typeof labels === 'number' ? labels : (value ?? 1)
    if (this.#type === 'counter' && by < 0) {
      throw new TypeError(`${this.#name}: a counter goes up only, got ${show(by)}`)
    }
    this.#checked(by)
    this.#of(labels).value += by
  }

  dec(labels?: Labels | number, value?: number): void {
    const by = typeof labels === 'number' ? labels : (value ?? 1)
    this.#checked(by)
    this.#of(labels).value -= by
  }

  set(labels: Labels | number, value?: number): void {
    const to = typeof labels === 'number' ? labels : value
    this.#checked(to)
    this.#of(labels).value = to
  }

  stats(): MetricStats {
    const values = [...this.#series.values()].map(({ labels, value }) => ({ labels, value }))
    return { name: this.#name, type: this.#type, help: this.#help, values }
  }

  #checked(value: unknown): asserts value is number {
    if (typeof value === 'number' && Number.isFinite(value)) return
    throw new TypeError(`${this.#name}: expected a finite number, got ${show(value)}`)
  }

  #of(labels: Labels | number | undefined): Series {
    const names = typeof labels === 'object' ? Object.keys(labels).sort() : []
    const values = names.map((name) => String((labels as Labels)[name]))
    const key = names.map((name, i) => `${name}\0${values[i]}`).join('\0')
    const known = this.#series.get(key)
    if (known) return known
    if (this.#series.size < MOST_SERIES) return this.#add(key, names, values)
    if (!this.#full) this.#onFull(this.#name)
    this.#full = true
    const other = `\0${names.join('\0')}`
    const rest = names.map(() => 'other')
    return this.#series.get(other) ?? this.#add(other, names, rest)
  }

  #add(key: string, names: readonly string[], values: readonly string[]): Series {
    for (const name of names) {
      if (/^[a-zA-Z_]\w*$/.test(name)) continue
      throw new TypeError(`${this.#name}: a label has letters, digits and '_', got ${show(name)}`)
    }
    const labels = Object.fromEntries(names.map((name, i) => [name, values[i] as string]))
    const series = { labels, value: 0 }
    this.#series.set(key, series)
    return series
  }
}

/** The metrics of one use of a plugin. */
export class MetricRegistry implements Metrics {
  readonly #prefix: string
  readonly #onFull: (metric: string) => void
  readonly #metrics = new Map<string, Metric>()

  /** `onFull` is told once of each metric that has too many combinations of labels. */
  constructor(plugin: string, onFull: (metric: string) => void) {
    this.#prefix = plugin.replaceAll('-', '_')
    this.#onFull = onFull
  }

  counter(name: string, help: string): Counter {
    return this.#metric('counter', name, help)
  }

  gauge(name: string, help: string): Gauge {
    return this.#metric('gauge', name, help)
  }

  /** By the name that the plugin gave. */
  stats(): Record<string, MetricStats> {
    return Object.fromEntries([...this.#metrics].map(([name, metric]) => [name, metric.stats()]))
  }

  #metric(type: MetricStats['type'], name: string, help: string): Metric {
    if (typeof name !== 'string' || !/^[a-z][a-z0-9_]*$/.test(name)) {
      const message = `a metric's name has lower-case letters, digits and '_', got ${show(name)}.`
      throw new SluiceError('ERR_SLUICE_ARGUMENT', message)
    }
    const known = this.#metrics.get(name)
    if (known && known.type !== type) {
      const message = `the metric '${name}' is a ${known.type} already.`
      throw new SluiceError('ERR_SLUICE_ARGUMENT', message)
    }
    const metric = known ?? new Metric(type, `${this.#prefix}_${name}`, help, this.#onFull)
    this.#metrics.set(name, metric)
    return metric
  }
}
