import { describe, expect, test } from 'vitest';
import { Btf } from '../../src/linux/btf.ts';
import { buildLayout } from '../../src/linux/layout.ts';
import { BtfWriter } from '../support/btf-writer.ts';
import { type KernelTypesOptions, kernelTypes } from '../support/kernel-types.ts';

function layoutOf(options: KernelTypesOptions) {
  return buildLayout(new Btf(kernelTypes(options)));
}

describe('the layout', () => {
  test('of a kernel with list and tree has no maple tree', () => {
    const layout = layoutOf({ vmas: 'list and red-black tree' });
    expect(layout.mm_struct.mmap).toBeTypeOf('number');
    expect(layout.vm_area_struct.vm_rb).toBeTypeOf('number');
    expect(layout.mm_struct.mm_mt_root).toBeUndefined();
    expect(layout.maple_node).toBeUndefined();
    expect(layout.maple).toBeUndefined();
  });

  test('of a kernel with a maple tree has its formats and no list', () => {
    const layout = layoutOf({ vmas: 'maple tree' });
    expect(layout.mm_struct.mmap).toBeUndefined();
    expect(layout.maple_node).toMatchObject({
      size: 256,
      range_pivots: 8,
      range_slots: 128,
      arange_slots: 80,
    });
    expect(layout.maple).toEqual({
      rangeSlots: 16,
      arangeSlots: 10,
      dense: 0,
      leaf64: 1,
      range64: 2,
      arange64: 3,
    });
  });

  test('gives offsets of nested members, sizes and constants', () => {
    const layout = layoutOf({});
    expect(layout.file.dentry).toBe(layout.file.mnt + 8);
    expect(layout.commLength).toBe(16);
    expect(layout.vsyscallNone).toBe(2);
    expect(layout.vm_area_struct.size).toBeGreaterThan(layout.vm_area_struct.anon_vma);
  });

  test('lacks optional members and structs without complaint', () => {
    const layout = layoutOf({
      without: ['vm_area_struct.anon_name'],
      withoutStructs: ['pcpu_hot', 'backing_file'],
    });
    expect(layout.vm_area_struct.anon_name).toBeUndefined();
    expect(layout.pcpu_hot).toBeUndefined();
    expect(layout.hasBackingFiles).toBe(false);
  });

  test.each([
    [{ withoutStructs: ['inode'] }, "the kernel's type information has no struct inode"],
    [{ without: ['task_struct.comm'] }, "the kernel's struct task_struct has no member comm"],
    [{ without: ['task_struct.state'] }, "the kernel's struct task_struct has no member __state"],
    [{ without: ['mm_struct.mmap'] }, /neither a maple tree of VMAs nor a list/],
  ])('without what is needed is an error that names it: %j', (options, message) => {
    expect(() => layoutOf(options)).toThrow(message);
  });

  test('with members outside their struct is an error', () => {
    const writer = new BtfWriter();
    const word = writer.int('u64', 8);
    const members = ['next', 'prev'].map((name, index) => ({ name, type: word, at: index * 64 }));
    writer.struct('list_head', 12, members);
    expect(() => buildLayout(new Btf(writer.bytes()))).toThrow('member prev lies outside struct list_head');
  });
});
