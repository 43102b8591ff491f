/**
 * Words of HAProxy, nginx and Envoy that people bring along, and what is meant
 * by them here. Only looked at where a word is unknown.
 */

const ACTIVE =
  "there are no active checks; failed connects take a server out, see 'passive' of its backend"
const RULES = "rules are functions in 'rules' of a frontend"
const HANDSHAKE = "is 'rules.handshake' of a frontend: rules with conn.bytes"
const TLS_OF_BIND = "is 'cert' in 'tls' of a bind"
const IN_ADDRESS = "is 'address', with the port: '127.0.0.1:9001'"
const SYSTEM = 'is for the service manager, systemd for example'

/** Words in lower case without '-' and '_'. */
const words: Record<string, string> = {
  // HAProxy
  acl: RULES,
  usebackend: `is the verdict useBackend('name'); ${RULES}`,
  useserver: `is the verdict useServer('backend', 'server'); ${RULES}`,
  defaultbackend: "is 'backend' of a frontend",
  stick: 'is of a backend: stick: { table }',
  sticktable: "is an entry of 'tables'",
  peers: 'tables are not shared between processes yet',
  check: ACTIVE,
  inter: ACTIVE,
  rise: ACTIVE,
  fall: ACTIVE,
  httpchk: ACTIVE,
  agentcheck: ACTIVE,
  healthcheck: ACTIVE,
  healthchecks: ACTIVE,
  observe: ACTIVE,
  slowstart: "there is no slow start; 'weight' may be changed while the proxy runs",
  defaults:
    "time-outs for all are in 'timeouts' at the top, other options have defaults of their own",
  listen: "a 'listen' section is a frontend and a backend here; an address to listen on is 'bind'",
  option: 'every option has a name of its own here',
  options: 'every option has a name of its own here',
  resolvers: "names are resolved by the system, see 'global.resolveInterval'",
  userlist: 'there are no user lists; a rule may check users',
  errorfile: "the verdict reply('text') answers a client",
  nbthread: "is 'global.workers'",
  nbproc: "is 'global.workers'",
  daemon: SYSTEM,
  chroot: SYSTEM,
  user: `${SYSTEM}; that of a SOCKS proxy is in 'socks' of a server`,
  group: SYSTEM,
  pidfile: SYSTEM,
  ulimitn: `the limit of descriptors ${SYSTEM} (LimitNOFILE)`,
  ssl: "is 'tls'",
  type: "is 'key' of a table, and 'type' in 'balance' of a backend",
  crt: TLS_OF_BIND,
  crtlist: TLS_OF_BIND,
  verify: "is 'clientCert' in 'tls' of a bind, and 'verify' in 'tls' of a server",
  cafile: "is 'ca' in 'tls'",
  sni: "is 'sniRoutes' of a bind, and 'serverName' in 'tls' of a server",
  namespace: SYSTEM,
  interface: 'name an address of it',
  disabled: "is state: 'maint' of a server",
  cookie: "there is no HTTP here; 'stick' of a backend keeps clients at a server",
  tcpcheck: ACTIVE,
  monitornet: "is 'monitor: { from }' of a frontend",
  monitoruri: "is 'monitor: { from }' of a frontend",
  timeout: "is 'timeouts', and 'deadline' of a rule",
  tcprequest: "is 'connection', 'handshake' (for content) and 'session' in 'rules' of a frontend",
  dispatch: 'is one server of a backend',
  fullconn: "is 'maxconn' of a server",
  // nginx
  upstream: "is an entry of 'backends'",
  upstreams: "are 'backends'",
  server: "is an entry of 'servers' in a backend; what listens is a frontend",
  location: 'there is no HTTP here: requests are not looked at',
  http: 'there is no HTTP here: a frontend carries it as it is',
  stream: "there is no such section: 'frontends' and 'backends' are at the top",
  events: "there is no such section: 'global' has 'workers' and 'maxconn'",
  proxypass: "is 'backend' of a frontend",
  proxytimeout: "is 'client' and 'server' in 'timeouts'",
  proxyconnecttimeout: "is 'connect' in 'timeouts'",
  proxybind: "is 'source' of a server",
  proxyprotocol: "is 'acceptProxy' of a bind, and 'sendProxy' of a server",
  proxyssl: "is 'tls' of a server",
  sslcertificate: TLS_OF_BIND,
  sslcertificatekey: "is 'key' in 'tls' of a bind",
  sslpreread: "is 'sniRoutes' of a bind",
  jsaccess: "is 'connection' in 'rules' of a frontend",
  jspreread: HANDSHAKE,
  maxfails: "is 'failures' in 'passive' of a backend",
  failtimeout: "is 'backoff' in 'passive' of a backend",
  maxconns: "is 'maxconn' of a server",
  down: "is state: 'maint' of a server",
  workerprocesses: "is 'global.workers'",
  workerconnections: "is 'global.maxconn'",
  leastconn: "is balance: 'leastconn' of a backend",
  iphash: "is balance: 'source' of a backend",
  hash: "is balance: { algorithm: 'hash' } of a backend",
  accesslog: "is 'log' at the top",
  errorlog: "is 'log' at the top",
  resolver: "names are resolved by the system, see 'global.resolveInterval'",
  allow: `${RULES}; cidrList(...) has addresses`,
  deny: `${RULES}; cidrList(...) has addresses`,
  geo: `${RULES}; cidrList(...) has addresses`,
  map: RULES,
  limitconn: `${RULES}; a table that stores 'connCur' counts connections`,
  // Envoy
  listeners: "are 'frontends'",
  clusters: "are 'backends'",
  endpoints: "are 'servers' of a backend",
  filterchains: RULES,
  // Node
  port: "is of a bind; that of a server stands in its 'address'",
  host: IN_ADDRESS,
  hostname: IN_ADDRESS,
  target: IN_ADDRESS,
  url: IN_ADDRESS,
  // Anybody's
  rules: RULES,
  // Ours, before 0.2
  tlsrequest: "is 'clientHello' and 'secured' in 'rules' of a frontend",
  established: "is 'secured' in 'rules' of a frontend",
  defaultverdict: "is 'onError' of a frontend: 'close' or 'open'",
  handshakes: HANDSHAKE,
  content: HANDSHAKE,
  inspectdelay: "is 'deadline' of a rule in 'rules.handshake'",
  inspectlimit: "is 'limit' of a rule in 'rules.handshake'",
  maxbytes: "is 'limit' of a rule in 'rules.handshake'",
  onbytes: "is 'run' of a rule: (conn) => ..., with conn.bytes and conn.last",
  ontimeout: "is 'onError', or conn.last in the rule itself",
}

/** What is meant by an unknown key; undefined where nobody knows. */
export function foreignWord(key: string): string | undefined {
  // HAProxy's 'timeout client' and 'option tcplog' begin with the word that counts.
  const [first = ''] = key.trim().split(/\s/)
  const plain = first.toLowerCase().replace(/[-_]/g, '')
  return Object.hasOwn(words, plain) ? words[plain] : undefined
}

const HASH = "{ algorithm: 'hash', key: (conn) => ... } hashes what you like"

/** Algorithms elsewhere, less '-' and '_'; those of HTTP have nothing here. */
const algorithms: Record<string, string> = {
  hash: HASH,
  consistenthash: HASH,
  ringhash: HASH,
  maglev: HASH,
  iphash: "that is 'source'",
  staticrr: "that is 'roundrobin'",
  leastrequest: "that is 'leastconn'",
  uri: 'there is no HTTP here',
  urlparam: 'there is no HTTP here',
  hdr: 'there is no HTTP here',
}

/** What an algorithm of others is here; undefined where nobody knows. */
export function foreignBalance(name: string): string | undefined {
  const plain = name.toLowerCase().replace(/[-_]/g, '')
  return Object.hasOwn(algorithms, plain) ? algorithms[plain] : undefined
}

/** Kinds of verdicts elsewhere, and ours. */
const verdicts: Record<string, string> = {
  deny: 'reject',
  drop: 'reject',
  'silent-drop': 'reject',
  close: 'reject',
  reset: 'reject',
  block: 'reject',
  allow: 'accept',
  pass: 'accept',
  return: 'reply',
  respond: 'reply',
  use_backend: 'useBackend',
  backend: 'useBackend',
  'use-server': 'useServer',
  server: 'useServer',
  'set-var': 'setVar',
  set: 'setVar',
  certificate: 'useCertificate',
  wait: 'more',
}

/** Our kind of verdict for one of others. */
export function foreignVerdict(kind: string): string | undefined {
  return Object.hasOwn(verdicts, kind) ? verdicts[kind] : undefined
}
