/**
 * What all peers have in common in the TLS scenarios: certificates made at the
 * start of a run, one version, one suite, one group, tickets on.
 */

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram, temporaryDirectory } from './processes.mjs'

export const SERVER_NAME = 'bench.test'
export const SUITE = 'TLS_AES_128_GCM_SHA256'

/**
 * @typedef {object} Certificate
 * @property {string} cert PEM file, self-signed
 * @property {string} key PEM file
 * @property {string} both PEM file with the two in it, for HAProxy
 *
 * @typedef {'p256' | 'rsa'} KeyType
 */

/** @type {Record<KeyType, string[]>} arguments of `openssl req` */
const KEYS = {
  p256: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa: ['-newkey', 'rsa:2048'],
}

/** @type {Map<KeyType, Certificate>} */
const made = new Map()

/**
 * The same files for every peer of a run.
 * @param {KeyType} type
 * @returns {Certificate}
 * @throws {Error} where openssl fails
 */
export function certificate(type) {
  const there = made.get(type)
  if (there !== undefined) return there
  const directory = temporaryDirectory()
  const cert = join(directory, `${type}.crt`)
  const key = join(directory, `${type}.key`)
  const both = join(directory, `${type}.pem`)
  const names = ['-subj', `/CN=${SERVER_NAME}`, '-addext', `subjectAltName=DNS:${SERVER_NAME}`]
  const request = ['req', '-x509', ...KEYS[type], '-nodes', '-sha256', '-days', '7', ...names]
  execFileSync('openssl', [...request, '-keyout', key, '-out', cert], { stdio: 'pipe' })
  writeFileSync(both, readFileSync(cert, 'utf8') + readFileSync(key, 'utf8'))
  const files = { cert, key, both }
  made.set(type, files)
  return files
}

/** @returns {string | undefined} why there are no certificates here */
export function opensslMissing() {
  return findProgram('openssl') === undefined ? 'no openssl: apt-get install -y openssl' : undefined
}
