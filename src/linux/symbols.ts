import { TargetError } from '../errors.ts';
import type { GuestVirtualAddress } from '../memory/address.ts';
import type { AddressTable } from './kallsyms/addresses.ts';
import type { NameTable } from './kallsyms/name-table.ts';

/** One symbol of the kernel. */
export interface KernelSymbol {
  readonly name: string;
  /** As `nm` prints it: `T` global function, `t` local one, `D` data and so on. */
  readonly type: string;
  readonly address: GuestVirtualAddress;
}

/**
 * What nearly every use of a kernel asks for. A pass over all names costs the same for one of them as for all, so that
 * they are looked up together at the first look-up of any.
 */
const COMMON = [
  ...['init_top_pgt', 'swapper_pg_dir', 'page_offset_base', 'system_state', '__start_BTF', '__stop_BTF'],
  ...['init_task', 'special_mapping_name', 'anon_vma_name_alloc', 'gate_vma', 'vsyscall_mode', 'max_pfn'],
  ...['simple_dname', 'anon_inodefs_dname', 'pipefs_dname', 'sockfs_dname'],
];

/** A symbol and how far behind it an address lies, in bytes. */
export interface NearestSymbol extends KernelSymbol {
  readonly offset: number;
}

/**
 * The kernel's own symbols (not those of its modules), from the tables that it carries for its own
 * messages. Names stay compressed; a look-up is one pass over them that decodes none, a few hundred
 * microseconds for 100,000 symbols, and its answer is kept.
 */
export class SymbolTable {
  readonly #names: NameTable;
  readonly #addresses: AddressTable;
  readonly #known = new Map<string, GuestVirtualAddress | undefined>();

  constructor(names: NameTable, addresses: AddressTable) {
    this.#names = names;
    this.#addresses = addresses;
  }

  /** How many symbols there are. */
  get count(): number {
    return this.#names.count;
  }

  /** How this kernel keeps the addresses of its symbols, in words. */
  get layout(): string {
    return this.#addresses.layout;
  }

  /** The address of the first symbol of that name. */
  find(name: string): GuestVirtualAddress | undefined {
    return this.findMany([name]).get(name);
  }

  /** The address of a symbol that the work cannot do without; throws a TargetError that names it. */
  require(name: string): GuestVirtualAddress {
    const address = this.find(name);
    if (address === undefined) throw new TargetError(`the kernel has no symbol ${name}`);
    return address;
  }

  /** The addresses of the first symbol of each name, in one pass; those that do not exist are left out. */
  findMany(names: readonly string[]): Map<string, GuestVirtualAddress> {
    this.#learn(names.filter((name) => !this.#known.has(name)));
    const found = new Map<string, GuestVirtualAddress>();
    for (const name of names) {
      const address = this.#known.get(name);
      if (address !== undefined) found.set(name, address);
    }
    return found;
  }

  /** The addresses of all symbols of that name, ascending: static functions of one name are common. */
  findAll(name: string): GuestVirtualAddress[] {
    const addresses: GuestVirtualAddress[] = [];
    this.#names.search([name], (index) => {
      addresses.push(this.#addresses.at(index));
      return true;
    });
    return addresses;
  }

  /**
   * The last symbol at or before an address in the kernel image; of several at one address, the first that
   * is listed. Undefined before `_text` and from `_end` on.
   */
  nearest(address: GuestVirtualAddress): NearestSymbol | undefined {
    const bounds = this.findMany(['_text', '_end']);
    const end = bounds.get('_end');
    if (address < (bounds.get('_text') ?? 0n) || (end !== undefined && address >= end)) return undefined;
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#addresses.at(middle) <= address) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return undefined;
    const start = this.#addresses.at(low - 1);
    return { ...this.#symbol(this.#firstAt(start), start), offset: Number(address - start) };
  }

  /** Every symbol, by ascending address. */
  *entries(): Generator<KernelSymbol> {
    let index = 0;
    for (const text of this.#names.texts()) {
      yield { type: text.charAt(0), name: text.slice(1), address: this.#addresses.at(index++) };
    }
  }

  /** Every symbol whose name matches a glob: `*` stands for any run of characters, `?` for one. */
  *match(glob: string): Generator<KernelSymbol> {
    const pattern = globToPattern(glob);
    for (const symbol of this.entries()) {
      if (pattern.test(symbol.name)) yield symbol;
    }
  }

  #learn(wanted: readonly string[]): void {
    if (wanted.length === 0) return;
    const names = [...new Set([...wanted, ...COMMON.filter((name) => !this.#known.has(name))])];
    for (const name of names) this.#known.set(name, undefined);
    let missing = names.length;
    this.#names.search(names, (index, which) => {
      const name = names[which] ?? '';
      if (this.#known.get(name) !== undefined) return true;
      this.#known.set(name, this.#addresses.at(index));
      missing -= 1;
      return missing > 0;
    });
  }

  #firstAt(address: GuestVirtualAddress): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#addresses.at(middle) < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #symbol(index: number, address: GuestVirtualAddress): KernelSymbol {
    const text = this.#names.text(index);
    return { type: text.charAt(0), name: text.slice(1), address };
  }
}

/** A glob as a regular expression over a whole name. */
function globToPattern(glob: string): RegExp {
  const source = glob
    .replace(/\*+/g, '*')
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's');
}
