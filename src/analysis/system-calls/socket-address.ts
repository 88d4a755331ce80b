import { quote } from './guest-strings.ts';

/** A decoded `struct sockaddr`. */
export interface SocketAddress {
  readonly family: number;
  readonly text: string;
  readonly host?: string;
  readonly port?: number;
}

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;

/** Decodes the bytes of a `struct sockaddr_in`, `sockaddr_in6` or `sockaddr_un` (include/uapi/linux). */
export function decodeSocketAddress(bytes: Uint8Array): SocketAddress | undefined {
  if (bytes.length < 2) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, true);
  if (family === AF_INET && bytes.length >= 8) {
    const host = bytes.subarray(4, 8).join('.');
    const port = view.getUint16(2);
    return { family, host, port, text: `${host}:${port}` };
  }
  if (family === AF_INET6 && bytes.length >= 24) {
    const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(8 + 2 * index).toString(16));
    const host = shorten(groups.join(':'));
    const port = view.getUint16(2);
    return { family, host, port, text: `[${host}]:${port}` };
  }
  if (family === AF_UNIX) {
    const path = bytes.subarray(2);
    const isAbstract = path[0] === 0;
    const text = String.fromCharCode(...(isAbstract ? path.subarray(1) : path));
    return { family, text: `unix:${isAbstract ? '@' : ''}${quote(text.split('\0')[0] ?? '')}` };
  }
  return { family, text: `family ${family}` };
}

/** The longest run of zero groups as `::`. */
function shorten(host: string): string {
  const runs = host.match(/\b0(?::0)+\b/g) ?? [];
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '');
  return longest === '' ? host : host.replace(longest, '::').replaceAll(/:{3,}/g, '::');
}
