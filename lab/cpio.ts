/** An entry of an archive that the kernel unpacks as its first root file system. */
export interface CpioEntry {
  /** Relative to `/`, without a leading slash. Folders come before what is in them. */
  readonly path: string;
  /** File type and permissions as in `st_mode`, for example `0o100755`. */
  readonly mode: number;
  /** Content of a file, target of a symbolic link. */
  readonly data?: Uint8Array;
  /** Major and minor number of a device node. */
  readonly device?: readonly [number, number];
}

const encoder = new TextEncoder();

/**
 * Writes an archive in the "new ASCII" format, magic 070701 (Documentation/driver-api/early-userspace/buffer-format.rst
 * of the kernel): a header of 13 eight-digit hexadecimal fields, the name, the content, name and content padded to 4 bytes.
 */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  entries.forEach((entry, index) => {
    append(parts, entry, index + 1);
  });
  append(parts, { path: 'TRAILER!!!', mode: 0 }, 0);
  return Buffer.concat(parts);
}

function append(parts: Uint8Array[], entry: CpioEntry, inode: number): void {
  const name = encoder.encode(`${entry.path}\0`);
  const data = entry.data ?? new Uint8Array(0);
  const [major, minor] = entry.device ?? [0, 0];
  const fields = [inode, entry.mode, 0, 0, 1, 0, data.length, 0, 0, major, minor, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  parts.push(encoder.encode(header), name, padding(header.length + name.length), data, padding(data.length));
}

function padding(length: number): Uint8Array {
  return new Uint8Array(-length & 3);
}
