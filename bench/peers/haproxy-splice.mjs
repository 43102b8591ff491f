/** HAProxy at its best for bulk. */

import { haproxyPeer } from './haproxy.mjs'

export const peer = haproxyPeer('haproxy-splice', ['bulk'])
