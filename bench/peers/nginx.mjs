/** nginx stream: one worker. */

import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../lib/network.mjs'
import { findProgram, startPinned, temporaryDirectory, versionLine } from '../lib/processes.mjs'
import { SUITE } from '../lib/tls.mjs'
import { REJECTED, runningPeer } from './peer.mjs'

/** Where Debian puts the module; a build of one's own has it inside. */
const MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so'

/** @type {import('./peer.mjs').Peer} */
export const peer = {
  name: 'nginx',
  missing({ nginx }) {
    if (findProgram(nginx) === undefined) {
      return `no ${nginx}: apt-get install -y nginx libnginx-mod-stream, or --nginx PATH`
    }
    if (nginx === 'nginx' && !existsSync(MODULE)) {
      return 'no nginx stream module: apt-get install -y libnginx-mod-stream'
    }
    return undefined
  },
  version: ({ nginx }) => versionLine(findProgram(nginx) ?? nginx, '-v'),
  async start({ core, upstream, options, openFiles, tls }) {
    const directory = temporaryDirectory()
    const port = await freePort()
    const config = join(directory, 'nginx.conf')
    writeFileSync(
      config,
      `${options.nginx === 'nginx' ? `load_module ${MODULE};` : ''}
daemon off;
pid ${directory}/pid;
error_log stderr crit;
worker_processes 1;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections ${openFiles - 100}; accept_mutex off; }
stream {
  tcp_nodelay on;
  proxy_timeout 1h;
  proxy_connect_timeout 5s;
  server {
    listen 127.0.0.1:${port} backlog=4096${tls === undefined ? '' : ' ssl'};
    ${tls === undefined ? '' : terminate(tls)}
    deny ${REJECTED};
    proxy_pass 127.0.0.1:${upstream.port};
  }
}
`,
    )
    const program = findProgram(options.nginx) ?? options.nginx
    return runningPeer(startPinned(core, program, ['-p', directory, '-c', config]), port)
  },
}

/**
 * Tickets are on by default; the shared cache is for TLS 1.2.
 * @param {import('../lib/tls.mjs').Certificate} certificate
 */
function terminate({ cert, key }) {
  return `ssl_certificate ${cert};
    ssl_certificate_key ${key};
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites ${SUITE};
    ssl_ecdh_curve X25519;`
}
