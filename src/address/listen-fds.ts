/** Sockets that systemd passes to a service (sd_listen_fds(3)). */

export interface InheritedSocket {
  fd: number
  /** From FileDescriptorName= of the socket unit; 'unknown' where systemd named none. */
  name: string
}

const FIRST_FD = 3

/**
 * The sockets named by LISTEN_FDS and LISTEN_FDNAMES. Empty where LISTEN_PID is
 * missing or names another process: the variables were inherited, the sockets
 * were not meant for us.
 */
export function inheritedSockets(env: NodeJS.ProcessEnv, pid = process.pid): InheritedSocket[] {
  const { LISTEN_FDS: fds, LISTEN_PID: listenPid, LISTEN_FDNAMES: fdNames } = env
  if (fds === undefined || !/^\d{1,4}$/.test(fds) || listenPid !== String(pid)) return []
  const names = fdNames === undefined ? [] : fdNames.split(':')
  return Array.from({ length: Number(fds) }, (_, i) => ({
    fd: FIRST_FD + i,
    name: names[i] || 'unknown',
  }))
}
