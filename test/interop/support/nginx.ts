/** nginx with a document root, uploads by WebDAV PUT, and the address it saw. */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Daemon } from './daemon.js'
import { needs } from './programs.js'

needs('nginx')

/** Body of `/hello`. */
export const HELLO = 'hello from nginx\n'

export interface Nginx extends Daemon {
  /** Expects a PROXY header, of either version: proxyPort[0] on IPv4, [1] on IPv6. */
  readonly proxyPort: readonly [number, number]
  readonly socketPath: string
}

/**
 * `/hello`, the files in `root`, PUT below `/up/`, and `/whoami`: the address
 * and port that the server sees as the client's, '192.0.2.1 4000'.
 */
export async function startNginx(files: Record<string, Uint8Array> = {}): Promise<Nginx> {
  let socketPath = ''
  const daemon = await Daemon.start({
    program: 'nginx',
    ports: 3,
    prepare({ directory, ports }) {
      const root = join(directory, 'root')
      socketPath = join(directory, 'nginx.sock')
      for (const name of [root, join(root, 'up'), join(directory, 'tmp')]) {
        mkdirSync(name)
        chmodSync(name, 0o777)
      }
      for (const [name, content] of Object.entries(files)) writeFileSync(join(root, name), content)
      chmodSync(directory, 0o755)
      const config = join(directory, 'nginx.conf')
      writeFileSync(config, configuration(directory, socketPath, ports))
      const [tcp, v4, v6] = ports as [number, number, number]
      return {
        args: ['-c', config, '-p', directory, '-e', 'stderr'],
        ready: [
          { port: tcp },
          { port: tcp, host: '::1' },
          { port: v4 },
          { port: v6, host: '::1' },
          { path: socketPath },
        ],
      }
    },
  })
  const proxyPort = [daemon.ports[1] as number, daemon.ports[2] as number] as const
  return Object.assign(daemon, { proxyPort, socketPath })
}

function configuration(directory: string, socket: string, ports: readonly number[]): string {
  const [tcp, v4, v6] = ports
  return `
daemon off;
master_process off;
pid ${directory}/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
  access_log off;
  server_tokens off;
  keepalive_requests 100000;
  client_max_body_size 64m;
  client_body_temp_path ${directory}/tmp;
  proxy_temp_path ${directory}/tmp;
  fastcgi_temp_path ${directory}/tmp;
  uwsgi_temp_path ${directory}/tmp;
  scgi_temp_path ${directory}/tmp;
  set_real_ip_from 127.0.0.0/8;
  set_real_ip_from ::1;
  real_ip_header proxy_protocol;
  server {
    listen 127.0.0.1:${tcp};
    listen [::1]:${tcp};
    listen 127.0.0.1:${v4} proxy_protocol;
    listen [::1]:${v6} proxy_protocol;
    listen unix:${socket};
    root ${directory}/root;
    location = /hello { default_type text/plain; return 200 "${HELLO.replace('\n', '\\n')}"; }
    location = /whoami { default_type text/plain; return 200 "$remote_addr $remote_port\\n"; }
    location /up/ { dav_methods PUT DELETE; create_full_put_path on; }
  }
}
`
}
