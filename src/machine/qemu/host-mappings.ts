import { readdirSync, readFileSync, statSync } from 'node:fs';

/** One mapping of a process, as `/proc/PID/maps` shows it. */
export interface HostMapping {
  readonly start: number;
  readonly end: number;
  readonly shared: boolean;
  /** Where the mapping starts in its file, in bytes. */
  readonly offset: number;
  /** `major:minor` in hexadecimal. */
  readonly device: string;
  readonly inode: number;
  /** As the kernel prints it: `/memfd:ram (deleted)`. */
  readonly path: string;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) [r-][w-][x-]([ps]) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+) *(.*)$/;

/** Reads text in the form of `/proc/PID/maps` (proc_pid_maps(5)). */
export function parseMappings(text: string): HostMapping[] {
  const mappings: HostMapping[] = [];
  for (const line of text.split('\n')) {
    const match = LINE.exec(line);
    if (match === null) continue;
    mappings.push({
      start: Number.parseInt(match[1] ?? '', 16),
      end: Number.parseInt(match[2] ?? '', 16),
      shared: match[3] === 's',
      offset: Number.parseInt(match[4] ?? '', 16),
      device: match[5] ?? '',
      inode: Number(match[6]),
      path: match[7] ?? '',
    });
  }
  return mappings;
}

/** The mappings of a process; none where they may not be read, or there is no such process. */
export function mappingsOf(pid: number): HostMapping[] {
  try {
    return parseMappings(readFileSync(`/proc/${pid}/maps`, 'latin1'));
  } catch {
    return [];
  }
}

/**
 * A path under which this process can open the very file behind a mapping: its own path, or, where it is a memfd,
 * deleted or in another mount namespace, the file descriptor that the process still has.
 */
export function openablePath(pid: number, mapping: HostMapping): string | undefined {
  const candidates = [mapping.path, `/proc/${pid}/root${mapping.path}`, ...descriptors(pid)];
  return candidates.find((path) => isFile(path, mapping));
}

function descriptors(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`);
  } catch {
    return [];
  }
}

function isFile(path: string, { device, inode }: HostMapping): boolean {
  try {
    const stat = statSync(path);
    return stat.isFile() && stat.ino === inode && deviceName(stat.dev) === device;
  } catch {
    return false;
  }
}

/** `major:minor` as the kernel prints it, of a device number as stat(2) gives it (makedev(3)). */
function deviceName(device: number): string {
  const number = BigInt(device);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xffff_f000n);
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffff_ff00n);
  return `${major.toString(16).padStart(2, '0')}:${minor.toString(16).padStart(2, '0')}`;
}
