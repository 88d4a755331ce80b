import koffi from 'koffi';

/** Who listens on the other end of a unix socket. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
}

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

const libc = koffi.load(null);
const getsockopt = libc.func(
  'int getsockopt(int fd, int level, int name, void *value, _Inout_ uint32_t *length)',
);

/**
 * The process that called listen(2) on the socket that `fd` is connected to (unix(7), SO_PEERCRED). For a
 * machine that libvirt started with a socket of its own making that is libvirt, not QEMU.
 */
export function peerCredentials(fd: number): PeerCredentials | undefined {
  const credentials = new Int32Array(3);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, [credentials.byteLength]) !== 0) return undefined;
  const [pid = 0, uid = 0] = credentials;
  return pid > 0 ? { pid, uid } : undefined;
}
