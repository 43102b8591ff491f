/**
 * The server behind every proxy: one nginx worker on the load core, a 25-byte
 * reply at /, a 10 MB object at /bulk, connections kept for as long as the
 * client likes.
 */

import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, listening } from '../lib/network.mjs'
import { findProgram, startPinned, temporaryDirectory } from '../lib/processes.mjs'

export const BULK_BYTES = 10_000_000
const REPLY = 'twenty-five bytes of text'

/**
 * @typedef {object} Upstream
 * @property {number} port
 * @property {() => string | undefined} ended why it is gone, where it is
 * @property {() => Promise<void>} stop
 */

/**
 * @param {{program: string, core: number, openFiles: number}} options
 * @returns {Promise<Upstream>}
 */
export async function startUpstream({ program, core, openFiles }) {
  const nginx = findProgram(program)
  if (nginx === undefined) throw new Error(`no ${program}: apt-get install -y nginx`)
  const directory = temporaryDirectory()
  const root = join(directory, 'root')
  mkdirSync(root)
  fill(join(root, 'bulk'), BULK_BYTES)
  const port = await freePort()
  const config = join(directory, 'nginx.conf')
  writeFileSync(
    config,
    `daemon off;
pid ${directory}/pid;
error_log stderr crit;
worker_processes 1;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections ${openFiles - 100}; accept_mutex off; multi_accept on; }
http {
  access_log off;
  default_type text/plain;
  sendfile on;
  tcp_nodelay on;
  lingering_close off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  server {
    listen 127.0.0.1:${port} backlog=4096 deferred;
    root ${root};
    location = / { return 200 '${REPLY}'; }
    location = /bulk { }
  }
}
`,
  )
  const started = startPinned(core, nginx, ['-p', directory, '-c', config])
  await listening(port, started)
  const ended = () =>
    started.ended === undefined
      ? undefined
      : `the upstream ended with ${started.ended} ${started.lastWords}`
  return { port, ended, stop: () => started.stop() }
}

/**
 * @param {string} path
 * @param {number} bytes
 */
function fill(path, bytes) {
  const chunk = Buffer.alloc(1 << 16)
  for (let at = 0; at < chunk.length; at++) chunk[at] = (at * 7 + (at >> 8)) & 0xff
  const file = openSync(path, 'w')
  for (let left = bytes; left > 0; ) left -= writeSync(file, chunk, 0, Math.min(left, chunk.length))
  closeSync(file)
}
