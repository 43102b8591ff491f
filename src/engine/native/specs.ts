/** What policy asks for in the flat form that the addon takes, and what the addon answers. */

import { getSystemErrorMap } from 'node:util'
import type { ListenAddress } from '../../address/bind.js'
import { withScope } from '../../address/text.js'
import type { ListenResult, ListenSpec, RouteSpec } from '../engine.js'
import { listenAddress, type NativeListenSpec, type NativeRouteSpec } from './load.js'

export function nativeListen({ address, ...rest }: ListenSpec): NativeListenSpec {
  return { ...flatAddress(address), ...rest }
}

export function nativeRoute(spec: RouteSpec): NativeRouteSpec {
  const { address, source, socks, tls, sendProxy, proxyCrc } = spec
  return {
    ...address,
    ...(source === 'client'
      ? { sourceIp: 'client' }
      : source && { sourceIp: source.ip, sourcePort: source.port ?? 0 }),
    sendProxy,
    proxyCrc,
    socksVersion: socks?.version ?? 0,
    ...(socks && {
      ...(socks.user !== undefined && { socksUser: socks.user }),
      ...(socks.password !== undefined && { socksPassword: socks.password }),
      socksHost: socks.host,
      socksPort: socks.port,
    }),
    ...(tls && { tlsContext: tls.context, tlsServerName: tls.serverName }),
    keepAlive: spec.keepAlive,
    userTimeout: spec.userTimeout,
    connectTimeout: spec.connectTimeout,
    serverTimeout: spec.serverTimeout,
    serverFinTimeout: spec.serverFinTimeout,
    tunnelTimeout: spec.tunnelTimeout,
  }
}

function flatAddress(
  address: ListenAddress,
): Pick<NativeListenSpec, 'kind' | 'host' | 'port' | 'v6Only' | 'path' | 'mode' | 'fd'> {
  switch (address.kind) {
    case 'tcp':
      return {
        kind: 'tcp',
        host: address.host,
        port: address.port,
        v6Only: address.v6only ?? false,
      }
    case 'unix':
      return {
        kind: 'unix',
        path: address.path,
        ...(address.mode !== undefined && { mode: address.mode }),
      }
    case 'fd':
      return { kind: 'fd', fd: address.fd }
  }
}

/** The address that the kernel bound for the one that was asked for. */
export function reported(
  asked: ListenAddress,
  { address, port }: { address: string; port: number },
): ListenResult['address'] {
  if (asked.kind === 'unix') return { family: 'unix', address: asked.path, port: 0 }
  const { family, address: ip, port: actual } = listenAddress(address, port)
  return { family, address: withScope(ip, asked), port: actual }
}

/** What the engine tells of a failed step, as Node's own errors are. */
export function systemError(step: string, errno: number): NodeJS.ErrnoException {
  const [code, text] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, 'unknown error']
  return Object.assign(new Error(`${step}: ${text}`), { code, errno: -errno, syscall: step })
}
