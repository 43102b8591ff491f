/** The file of the log, looked at before anything is written to it. */

import { randomUUID } from 'node:crypto'
import { closeSync, constants, mkdirSync, openSync, rmSync, type Stats, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { ConfigError, type ConfigIssue } from '../base/errors.js'

const { O_APPEND, O_CREAT, O_EXCL, O_NONBLOCK, O_WRONLY } = constants

/** What is wrong with a file that is to be written; undefined where nothing is. Leaves nothing behind. */
export function checkLogFile(file: string): ConfigIssue | undefined {
  return issueOf(file, () => {
    const there = statSync(file, { throwIfNoEntry: false })
    if (there) open(file, there)
    else probeFolder(dirname(resolve(file)))
  })
}

/** Makes the file and its folders. Throws a ConfigError (`log.file`) that names the file and says why not. */
export function makeLogFile(file: string): void {
  const issue = issueOf(file, () => {
    makeFolder(dirname(resolve(file)))
    open(file, statSync(file, { throwIfNoEntry: false }))
  })
  if (issue) throw new ConfigError([issue])
}

function open(file: string, there: Stats | undefined): void {
  try {
    // Without waiting for the reader of a pipe.
    closeSync(openSync(file, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o666))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENXIO' || !there?.isFIFO()) throw error
  }
}

/**
 * Makes and removes something in the folder, or in the nearest one that is there. Permissions
 * alone do not tell: root has all of them, also below /proc. It has a name of its own, since a
 * proxy that runs may open the file's at this moment.
 */
function probeFolder(folder: string): void {
  let nearest = folder
  while (!statSync(nearest, { throwIfNoEntry: false })) nearest = dirname(nearest)
  const probe = join(nearest, `.sluice-check-${randomUUID()}`)
  if (nearest === folder) closeSync(openSync(probe, O_WRONLY | O_CREAT | O_EXCL, 0o600))
  else mkdirSync(probe)
  rmSync(probe, { recursive: true })
}

/** Not mkdir's `recursive`: below /proc Node tries that for ever. */
function makeFolder(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })) return
  makeFolder(dirname(folder))
  try {
    mkdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

function issueOf(file: string, act: () => void): ConfigIssue | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    const why = reasonOf(error as NodeJS.ErrnoException)
    return { path: 'log.file', message: `${resolve(file)} cannot be written: ${why}.` }
  }
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'EISDIR':
      return 'it is a folder; name a file in it'
    case 'ENOTDIR':
    case 'EEXIST':
      return 'a part of its path is a file, not a folder'
    case 'ENOENT':
      return 'nothing can be made in its folder'
    case 'EACCES':
    case 'EPERM':
      return 'no permission'
    case 'EROFS':
      return 'its file system is read-only'
    case 'ENXIO':
      return 'it is a socket or a device that takes no log'
    default:
      return message
  }
}
