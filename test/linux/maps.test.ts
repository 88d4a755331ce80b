import { describe, expect, test } from 'vitest';
import { UnderwatchError } from '../../src/errors.ts';
import { formatMapsRow, listMaps } from '../../src/linux/maps.ts';
import { type GuestVirtualAddress, gva } from '../../src/memory/address.ts';
import type { KernelTypesOptions } from '../support/kernel-types.ts';
import { FileWriter } from '../support/synthetic-files.ts';
import { SyntheticKernel } from '../support/synthetic-kernel.ts';
import { writeAddressSpace } from '../support/vma-structures.ts';

const AREAS = Array.from({ length: 8 }, (_, index) => ({
  startPage: 0x400 + 2 * index,
  endPage: 0x401 + 2 * index,
}));

function made(options: KernelTypesOptions = {}) {
  const kernel = new SyntheticKernel(options);
  const writer = new FileWriter(kernel);
  const top = writer.rootDentry();
  const root = { mnt: writer.mount(top), dentry: top };
  const { mm, vmas } = writeAddressSpace(kernel, AREAS);
  const vma = (index: number) => vmas[index] ?? gva(0n);
  const paths = () => listMaps(kernel, mm, root).rows.map(({ path }) => path);
  return { kernel, writer, root, mm, vma, paths };
}

/** Makes an area a special mapping of that name. */
function makeSpecial(kernel: SyntheticKernel, vma: GuestVirtualAddress, name: string): void {
  const { vm_area_struct, vm_operations_struct, vm_special_mapping } = kernel.layout;
  const namer = kernel.allocate(16);
  kernel.symbols.set('special_mapping_name', namer);
  const operations = kernel.allocate(vm_operations_struct.size);
  kernel.put(operations, vm_operations_struct.name, namer);
  const mapping = kernel.allocate(vm_special_mapping.size);
  kernel.put(mapping, vm_special_mapping.name, kernel.text(name));
  kernel.put(vma, vm_area_struct.vm_ops, operations);
  kernel.put(vma, vm_area_struct.vm_private_data, mapping);
}

function nameAnonymous(kernel: SyntheticKernel, vma: GuestVirtualAddress, name: string): void {
  const { anon_vma_name, vm_area_struct } = kernel.layout;
  const address = kernel.allocate(128);
  kernel.putText(address, anon_vma_name?.name ?? 0, name);
  kernel.put(vma, vm_area_struct.anon_name, address);
}

describe('rows', () => {
  test('of files have device, inode, offset and an escaped path', () => {
    const { kernel, writer, root, mm, vma } = made();
    const file = writer.file(
      { mnt: root.mnt, dentry: writer.dentry(root.dentry, 'a\nb') },
      { number: 9n, device: 0xfe00001 },
    );
    kernel.put(vma(0), kernel.layout.vm_area_struct.vm_file, file);
    kernel.put(vma(0), kernel.layout.vm_area_struct.vm_pgoff, 0x10n);
    const { rows, cuts } = listMaps(kernel, mm, root);
    expect(cuts).toEqual([]);
    expect(rows).toHaveLength(AREAS.length);
    const [row] = rows;
    if (row === undefined) throw new Error('no rows');
    expect(formatMapsRow(row)).toBe(
      '00400000-00401000 rw-p 00010000 fe:01 9                                  /a\\012b',
    );
  });

  test('of other areas have the names that the kernel gives them, the first that fits', () => {
    const { kernel, mm, vma, paths } = made();
    const { mm_struct: layout } = kernel.layout;
    makeSpecial(kernel, vma(1), '[vdso]');
    kernel.put(mm, layout.start_brk, 0x404800n);
    kernel.put(mm, layout.brk, 0x406800n);
    kernel.put(mm, layout.start_stack, 0x408000n);
    kernel.symbols.set('anon_vma_name_alloc', gva(0xffff_ffff_8100_0000n));
    nameAnonymous(kernel, vma(4), 'not shown');
    nameAnonymous(kernel, vma(6), 'a name');
    expect(paths()).toEqual(['', '[vdso]', '[heap]', '[heap]', '[stack]', '', '[anon:a name]', '']);
  });

  test('show names of anonymous memory only where the kernel keeps them', () => {
    const { kernel, vma, paths } = made();
    nameAnonymous(kernel, vma(6), 'a name');
    expect(paths().join('')).toBe('');
  });

  test('count the edges of the heap as before 6.6 where types are older', () => {
    const older = made({ withoutStructs: ['backing_file'] });
    const newer = made();
    for (const { kernel, mm } of [older, newer])
      for (const member of ['start_brk', 'brk'] as const)
        kernel.put(mm, kernel.layout.mm_struct[member], 0x405000n);
    expect(older.paths()[2]).toBe('[heap]');
    expect(newer.paths()[2]).toBe('');
  });

  test('of the vsyscall page come last, for 64-bit programs, in the mode that is on', () => {
    const { kernel, root, mm } = made();
    const { vm_area_struct: layout, mm_struct } = kernel.layout;
    const gate = kernel.allocate(layout.size);
    kernel.put(gate, layout.vm_start, 0xffff_ffff_ff60_0000n);
    kernel.put(gate, layout.vm_end, 0xffff_ffff_ff60_1000n);
    kernel.put(gate, layout.vm_flags, 4n);
    const mode = kernel.allocate(8);
    kernel.symbols.set('gate_vma', gate);
    kernel.symbols.set('vsyscall_mode', mode);
    kernel.put(mm, mm_struct.context_flags, 2n);
    const last = () => listMaps(kernel, mm, root).rows.at(-1);
    const row = last();
    expect(row && formatMapsRow(row)).toBe(
      'ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]',
    );
    kernel.put(mm, mm_struct.context_flags, 0n);
    expect(last()?.path).toBe('');
    kernel.put(mm, mm_struct.context_flags, 2n);
    kernel.put(mode, 0, 2n);
    expect(last()?.path).toBe('');
  });
});

describe('broken address spaces', () => {
  test('that nobody uses any more have no rows', () => {
    const { kernel, root, mm } = made();
    kernel.put(mm, kernel.layout.mm_struct.mm_users, 0n);
    expect(listMaps(kernel, mm, root)).toEqual({ rows: [], cuts: [] });
    expect(listMaps(kernel, mm, root, { live: false }).rows).toHaveLength(AREAS.length);
  });

  test('with a wild file pointer keep the row and report the file', () => {
    const { kernel, root, mm, vma } = made();
    kernel.put(vma(3), kernel.layout.vm_area_struct.vm_file, 0xffff_9999_0000_0000n);
    const { rows, cuts } = listMaps(kernel, mm, root);
    expect(rows).toHaveLength(AREAS.length);
    expect(cuts).toEqual([{ reason: 'unreadable', structure: 'file', address: 0xffff_9999_0000_0000n }]);
  });

  test('with a wild special mapping keep the row and report the area', () => {
    const { kernel, root, mm, vma } = made();
    makeSpecial(kernel, vma(3), '[vdso]');
    kernel.put(vma(3), kernel.layout.vm_area_struct.vm_private_data, 0xffff_9999_0000_0000n);
    const { rows, cuts } = listMaps(kernel, mm, root);
    expect(rows).toHaveLength(AREAS.length);
    expect(cuts).toEqual([{ reason: 'unreadable', structure: 'vm_area_struct', address: vma(3) }]);
  });

  test('whose list and tree disagree say so, on a live guest', () => {
    const { kernel, root, mm, vma } = made();
    kernel.put(mm, kernel.layout.mm_struct.mm_rb, 0n);
    const cut = { reason: 'torn', structure: 'vm_area_struct', address: vma(0) };
    expect(listMaps(kernel, mm, root)).toEqual({ rows: [], cuts: [cut] });
    expect(listMaps(kernel, mm, root, { live: false }).rows).toHaveLength(AREAS.length);
  });

  test('that are not there are a typed error', () => {
    const { kernel, root } = made();
    expect(() => listMaps(kernel, gva(0xffff_9999_0000_0000n), root, { live: false })).toThrow(
      UnderwatchError,
    );
  });
});
