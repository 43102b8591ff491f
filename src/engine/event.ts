/**
 * What an engine tells policy, as a record with names. An engine that tells millions of events
 * uses one record for all of them: its fields are valid during the call that hands it over, and
 * those that an event has no use for hold what an earlier one left.
 */

const NO_BYTES = new Uint8Array(0)

/** Everything that events may carry. Who hears one sees the fields of that event (`EngineEvents`). */
export class EngineEvent {
  conn = -1
  generation = 0
  /** Number of the listener. */
  listener = -1
  /** The handshake that is asked about, or was; of `secured`: TLS (the client's) or TLS_OUT (the server's). */
  bit = 0
  /** HelloStatus. */
  hello = 0
  /** A view that is valid during the call only: copy what is kept. */
  bytes: Uint8Array = NO_BYTES
  /** BytesFlag; of `secured`: TlsFlag. */
  flags = 0
  /** Number of the TLS version as on the wire, such as 0x0304. */
  version = 0
  /** Number of the cipher suite as on the wire, such as 0x1301. */
  cipher = 0
  /** The protocol that was agreed on; '' for none. */
  alpn = ''
  /** Slot of the server's connection. */
  peer = -1
  /** From the connect command to its outcome, ms. */
  elapsed = 0
  /** Packed By, Phase, Code. */
  reason = 0
  /** Of the system call, or the number of the alert for TLS_ALERT; 0 for neither. */
  errno = 0
  /** The engine's clock in ms. */
  clock = 0
  /** ms, or -1 where it never connected. */
  connectTime = -1
  /** Of the server's connection, where WANT_SOURCE asked for it and it was established; else 0. */
  localPort = 0
  /** The default was to open. */
  opened = false
  /** Bytes that left. */
  sent = 0
}

type Of<K extends keyof EngineEvent> = Readonly<Pick<EngineEvent, 'conn' | 'generation' | K>>

export type HandshakeEvent = Of<'listener' | 'bit' | 'bytes' | 'hello'>
export type HandshakeWaitsEvent = Of<never>
export type SecuredEvent = Of<'bit' | 'version' | 'cipher' | 'flags' | 'alpn' | 'bytes'>
export type BytesEvent = Of<'bytes' | 'flags'>
export type ConnectedEvent = Of<'peer' | 'elapsed'>
export type ConnectFailedEvent = Of<'reason' | 'errno' | 'elapsed'>
export type ClosedEvent = Of<'reason' | 'errno' | 'clock' | 'connectTime' | 'localPort'>
export type VerdictTimeoutEvent = Of<'bit' | 'opened'>
export type DataEvent = Of<'bytes' | 'flags'>
export type SentEvent = Of<'sent'>
export type ListenerPausedEvent = Readonly<Pick<EngineEvent, 'listener' | 'errno'>>
