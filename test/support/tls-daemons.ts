/** nginx, HAProxy and openssl s_server with TLS, for interop tests. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Daemon } from '../interop/support/daemon.js'
import { startHaproxy } from '../interop/support/haproxy.js'
import { NGINX_STREAM, needs } from '../interop/support/programs.js'
import type { Authority, Issued } from './certificates.js'

needs('nginx', 'nginx-stream', 'openssl')

/** As TLS 1.2 or 1.3 is called by node:tls. */
export type Version = 'TLSv1.2' | 'TLSv1.3'

const nginxHead = (directory: string) => `
load_module ${NGINX_STREAM};
daemon off;
master_process off;
pid ${directory}/nginx.pid;
error_log stderr warn;
events { worker_connections 512; }
`

function startNginx(
  ports: number,
  sections: (ports: readonly number[], directory: string) => string,
): Promise<Daemon> {
  return Daemon.start({
    program: 'nginx',
    ports,
    prepare({ directory, ports }) {
      const config = join(directory, 'nginx.conf')
      writeFileSync(config, nginxHead(directory) + sections(ports, directory))
      const args = ['-c', config, '-p', directory, '-e', 'stderr']
      return { args, ready: ports.map((port) => ({ port })) }
    },
  })
}

/** nginx that answers '/' over TLS with its name, version and whether it knows the client. */
export function nginxServer(
  issued: Issued,
  version: Version,
  clients?: Authority,
): Promise<Daemon> {
  const verify = clients ? `ssl_verify_client on; ssl_client_certificate ${clients.certFile};` : ''
  return startNginx(
    1,
    ([port], directory) => `
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${issued.chainFile};
    ssl_certificate_key ${issued.keyFile};
    ssl_protocols ${version};
    ${verify}
    location / {
      default_type text/plain;
      return 200 "nginx $ssl_protocol $ssl_server_name $ssl_client_s_dn $ssl_session_reused\\n";
    }
  }
}
`,
  )
}

/** nginx that takes clear TCP and speaks TLS to `port`. */
export function nginxClient(
  port: number,
  name: string,
  version: Version,
  ca: Authority,
  shown?: Issued,
): Promise<Daemon> {
  const certificate = shown
    ? `proxy_ssl_certificate ${shown.chainFile}; proxy_ssl_certificate_key ${shown.keyFile};`
    : ''
  return startNginx(
    1,
    ([own]) => `
stream {
  server {
    listen 127.0.0.1:${own};
    proxy_pass 127.0.0.1:${port};
    proxy_ssl on;
    proxy_ssl_server_name on;
    proxy_ssl_name ${name};
    proxy_ssl_protocols ${version};
    proxy_ssl_verify on;
    proxy_ssl_verify_depth 3;
    proxy_ssl_trusted_certificate ${ca.certFile};
    proxy_ssl_session_reuse on;
    ${certificate}
  }
}
`,
  )
}

/** HAProxy that answers over TLS with its name, version and the server name. */
export function haproxyServer(issued: Issued, version: Version, options = ''): Promise<Daemon> {
  const answer = 'haproxy %[ssl_fc_protocol] %[ssl_fc_sni] %[ssl_c_s_dn(CN)]\\n'
  return startHaproxy(
    1,
    ([port]) => `
frontend tls
  mode http
  bind 127.0.0.1:${port} ssl crt ${issued.pemFile} ssl-min-ver ${version} ssl-max-ver ${version} ${options}
  http-request return status 200 content-type text/plain lf-string "${answer}"`,
  )
}

/** HAProxy that takes clear TCP and speaks TLS to `port`. */
export function haproxyClient(
  port: number,
  name: string,
  version: Version,
  ca: Authority,
  options = '',
): Promise<Daemon> {
  const verify = `verify required ca-file ${ca.certFile} verifyhost ${name} sni str(${name})`
  return startHaproxy(
    1,
    ([own]) => `
frontend front
  mode tcp
  bind 127.0.0.1:${own}
  default_backend tls
backend tls
  mode tcp
  server a 127.0.0.1:${port} ssl ${verify} ssl-min-ver ${version} ssl-max-ver ${version} ${options}`,
  )
}

/** openssl s_server that answers every request with a page about the connection. */
export function opensslServer(
  issued: Issued,
  version: Version,
  ...more: string[]
): Promise<Daemon> {
  return Daemon.start({
    program: 'openssl',
    ports: 1,
    prepare({ ports }) {
      const args = [
        ...['s_server', '-accept', `127.0.0.1:${ports[0]}`, '-www', '-quiet'],
        ...['-cert', issued.certFile, '-key', issued.keyFile, '-cert_chain', issued.chainFile],
        version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3',
        ...more,
      ]
      return { args, ready: ports.map((port) => ({ port })) }
    },
  })
}
