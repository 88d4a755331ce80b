import { TargetError } from '../../errors.ts';
import type { Kernel } from '../../linux/kernel.ts';
import { type GuestVirtualAddress, gva, hex } from '../../memory/address.ts';

/** Larger than any of these tables of a real kernel, in bytes. */
const MAX_TABLE = 4 * 1024 * 1024;
/** `KPROBE_TABLE_SIZE` (kernel/kprobes.c) lists, and more probes in one than anybody sets. */
const KPROBE_LISTS = 64;
const MAX_KPROBES = 4096;

/** What is needed of a kernel. */
interface RecordOwner extends Pick<Kernel, 'memory'> {
  readonly symbols: Pick<Kernel['symbols'], 'find'>;
  readonly types: { member(struct: string, path: string): { readonly offset: number } | undefined };
}

/** A table whose entries begin with the distance (32 bits, signed) from themselves to an instruction. */
interface RelativeTable {
  readonly what: string;
  readonly start: string;
  readonly stop: string;
  /** Bytes of an entry. */
  readonly size: number;
}

/** `struct jump_entry`, `struct static_call_site`, `struct exception_table_entry`: the same since 5.10. */
const TABLES: readonly RelativeTable[] = [
  { what: 'a static branch', start: '__start___jump_table', stop: '__stop___jump_table', size: 16 },
  { what: 'a static call', start: '__start_static_call_sites', stop: '__stop_static_call_sites', size: 8 },
  { what: 'an exception entry', start: '__start___ex_table', stop: '__stop___ex_table', size: 12 },
];

/**
 * The places in the kernel's text that the kernel itself patches, or knows by their address: static branches and
 * calls, instructions with an exception entry, and kprobes. What ftrace patches are NOPs or calls, which are never moved.
 */
export class TextRecords {
  readonly #kernel: RecordOwner;
  readonly #tables: readonly { readonly what: string; readonly addresses: BigInt64Array }[];

  constructor(kernel: RecordOwner) {
    this.#kernel = kernel;
    this.#tables = TABLES.map((table) => ({ what: table.what, addresses: readTable(kernel, table) }));
  }

  /** @throws TargetError that names what lies in `[start, start + length)` */
  requireNone(start: GuestVirtualAddress, length: number): void {
    const first = BigInt.asIntN(64, start);
    const end = first + BigInt(length);
    for (const { what, addresses } of this.#tables) {
      const found = addresses.find((address) => address >= first && address < end);
      if (found !== undefined) throw new TargetError(`${what} lies at ${hex(BigInt.asUintN(64, found))}`);
    }
    for (const probe of kprobes(this.#kernel))
      if (probe >= start && probe < start + BigInt(length))
        throw new TargetError(`a kprobe lies at ${hex(probe)}`);
  }
}

function readTable(
  { memory, symbols }: RecordOwner,
  { what, start, stop, size }: RelativeTable,
): BigInt64Array {
  const from = symbols.find(start);
  const to = symbols.find(stop);
  if (from === undefined || to === undefined) return new BigInt64Array();
  const length = Number(to - from);
  if (length < 0 || length > MAX_TABLE || length % size !== 0)
    throw new TargetError(`the kernel's table of ${what} entries is not understood`);
  const bytes = Buffer.from(memory.readBytes(from, length));
  const addresses = new BigInt64Array(length / size);
  const base = BigInt.asIntN(64, from);
  for (let index = 0; index < addresses.length; index++)
    addresses[index] = base + BigInt(index * size + bytes.readInt32LE(index * size));
  return addresses;
}

/** Addresses of all kprobes (`kprobe_table`). A list that the guest changes meanwhile may be seen in part. */
function* kprobes({ memory, symbols, types }: RecordOwner): Generator<GuestVirtualAddress> {
  const table = symbols.find('kprobe_table');
  const link = types.member('kprobe', 'hlist')?.offset;
  const place = types.member('kprobe', 'addr')?.offset;
  if (table === undefined || link === undefined || place === undefined) return;
  let seen = 0;
  for (let list = 0; list < KPROBE_LISTS; list++) {
    let node = memory.readU64(gva(table + BigInt(8 * list)));
    while (node !== 0n && seen++ < MAX_KPROBES) {
      const probe = node - BigInt(link);
      yield gva(memory.readU64(gva(probe + BigInt(place))));
      node = memory.readU64(gva(node));
    }
  }
}
