import { describe, expect, test } from 'vitest';
import { TextRecords } from '../../../src/hooks/detours/text-records.ts';
import { gva } from '../../../src/memory/address.ts';
import { KernelInArray, TEXT } from './kernel-in-array.ts';

const JUMPS = 0x10_0000;
const CALLS = 0x10_1000;
const EXCEPTIONS = 0x10_2000;
const PROBES = 0x10_3000;
const PROBE = 0x10_4000;
/** Offsets of `hlist` and `addr` in the made-up `struct kprobe`. */
const HLIST = 0x10;
const ADDR = 0x28;

const types = {
  member: (_struct: string, path: string) => ({ offset: path === 'hlist' ? HLIST : ADDR }),
};

function relative(from: number, to: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(to - from);
  return bytes.toString('hex');
}

/** A kernel with one static branch at +0x1005, a static call at +0x2005, an exception entry at +0x3005. */
function kernel(): KernelInArray {
  const made = new KernelInArray();
  made.place('__start___jump_table', JUMPS, `${relative(JUMPS, 0x1005)} 000000000000000000000000`);
  made.place('__stop___jump_table', JUMPS + 16);
  made.place('__start_static_call_sites', CALLS, `${relative(CALLS, 0x2005)} 00000000`);
  made.place('__stop_static_call_sites', CALLS + 8);
  made.place('__start___ex_table', EXCEPTIONS, `${relative(EXCEPTIONS, 0x3005)} 0000000000000000`);
  made.place('__stop___ex_table', EXCEPTIONS + 12);
  made.place('kprobe_table', PROBES);
  return made;
}

function little(value: bigint): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes.toString('hex');
}

describe('instructions that are to be moved', () => {
  test.each([
    ['a static branch', 0x1005],
    ['a static call', 0x2005],
    ['an exception entry', 0x3005],
  ])('hold no %s', (what, offset) => {
    const records = new TextRecords({ ...parts(kernel()), types });
    const at = (distance: number) => gva(TEXT + BigInt(offset + distance));
    expect(() => records.requireNone(at(0), 5)).toThrow(what);
    expect(() => records.requireNone(at(-4), 5)).toThrow(what);
    expect(() => records.requireNone(at(-5), 5)).not.toThrow();
    expect(() => records.requireNone(at(1), 5)).not.toThrow();
  });

  test('hold no kprobe, also one that was set since', () => {
    const made = kernel();
    const records = new TextRecords({ ...parts(made), types });
    const site = gva(TEXT + 0x5005n);
    expect(() => records.requireNone(site, 7)).not.toThrow();
    made.place('probe', PROBE + HLIST, little(0n));
    made.place('probe address', PROBE + ADDR, little(site + 6n));
    made.place('second list', PROBES + 8, little(TEXT + BigInt(PROBE + HLIST)));
    expect(() => records.requireNone(site, 7)).toThrow(/a kprobe/);
    expect(() => records.requireNone(site, 6)).not.toThrow();
  });

  test('are looked for in a list of kprobes that runs in a circle, for a while', () => {
    const made = kernel();
    made.place('probe', PROBE + HLIST, little(TEXT + BigInt(PROBE + HLIST)));
    made.place('first list', PROBES, little(TEXT + BigInt(PROBE + HLIST)));
    expect(() =>
      new TextRecords({ ...parts(made), types }).requireNone(gva(TEXT + 0x5005n), 7),
    ).not.toThrow();
  });

  test('cannot be judged where a table makes no sense', () => {
    const made = kernel();
    made.place('__stop___jump_table', JUMPS + 15);
    expect(() => new TextRecords({ ...parts(made), types })).toThrow(/not understood/);
  });

  test('are free where a kernel has no such tables', () => {
    const records = new TextRecords({ ...parts(new KernelInArray()), types });
    expect(() => records.requireNone(gva(TEXT + 0x1005n), 5)).not.toThrow();
  });
});

function parts({ memory, symbols }: KernelInArray) {
  return { memory, symbols };
}
