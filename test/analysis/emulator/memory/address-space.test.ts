import { describe, expect, test } from 'vitest';
import { AddressSpace } from '../../../../src/analysis/emulator/memory/address-space.ts';
import { RECEIVED, WRITTEN } from '../../../../src/analysis/emulator/memory/marks.ts';
import {
  BytesSnapshot,
  EMPTY_SNAPSHOT,
  layered,
  ZeroSnapshot,
} from '../../../../src/analysis/emulator/memory/snapshot.ts';
import { EmulationStop } from '../../../../src/analysis/emulator/stop.ts';

function reasonOf(work: () => unknown): unknown {
  try {
    work();
  } catch (stop) {
    if (stop instanceof EmulationStop) return stop.reason;
    throw stop;
  }
  return undefined;
}

describe('an address space', () => {
  const image = Uint8Array.from({ length: 0x3000 }, (_, index) => (index * 7 + (index >> 8)) & 0xff);

  test('reads values of every width, also across pages', () => {
    const space = new AddressSpace(new BytesSnapshot(0x1000, image), 16);
    const view = new DataView(image.buffer);
    for (const offset of [0, 5, 0xffc, 0xffd, 0xffe, 0xfff, 0x1ff9]) {
      expect(space.load8(0, 0x1000 + offset)).toBe(view.getUint8(offset));
      expect(space.load16(0, 0x1000 + offset)).toBe(view.getUint16(offset, true));
      expect(space.load32(0, 0x1000 + offset)).toBe(view.getInt32(offset, true));
      expect(space.load64(0, 0x1000 + offset)).toBe(view.getInt32(offset, true));
      expect(space.highWord).toBe(view.getInt32(offset + 4, true));
    }
  });

  test('keeps what is written apart from the snapshot, and marks it', () => {
    const original = image.slice();
    const space = new AddressSpace(new BytesSnapshot(0x1000, image), 16);
    space.store64(0, 0x1ffc, 0x11223344, 0x55667788);
    expect(space.load32(0, 0x1ffc)).toBe(0x11223344);
    expect(space.load32(0, 0x2000)).toBe(0x55667788);
    expect(image).toEqual(original);
    const marks = [0x1ffb, 0x1ffc, 0x2003, 0x2004].map((address) => space.slab.marks[space.find(0, address)]);
    expect(marks).toEqual([0, WRITTEN, WRITTEN, 0]);
  });

  test('forgets everything on reset', () => {
    const space = new AddressSpace(new BytesSnapshot(0x1000, image), 16);
    space.store32(0, 0x1000, -1);
    space.reset(new BytesSnapshot(0x1000, image));
    expect(space.load32(0, 0x1000)).toBe(new DataView(image.buffer).getInt32(0, true));
    expect(space.slab.marks[space.find(0, 0x1000)]).toBe(0);
  });

  test('tells what could not be read, and where', () => {
    const space = new AddressSpace(new BytesSnapshot(0x1000, image), 16);
    expect(reasonOf(() => space.load8(0x7fff, -1))).toEqual({
      kind: 'memory',
      access: 'read',
      address: 0x7fff_ffff_ffffn,
    });
    expect(reasonOf(() => space.store32(0, 0x3ffe, 1))).toEqual({
      kind: 'memory',
      access: 'write',
      address: 0x4000n,
    });
    expect(reasonOf(() => space.lookup(0, 0x9000, 'fetch'))).toMatchObject({
      access: 'fetch',
      address: 0x9000n,
    });
  });

  test('ends a run that touches too many pages', () => {
    const space = new AddressSpace(new ZeroSnapshot(0, 0x10_0000), 16);
    const touchAll = (): void => {
      for (let page = 0; page < 32; page++) space.load8(0, page * 0x1000);
    };
    expect(reasonOf(touchAll)).toEqual({ kind: 'memory-limit', pages: 16 });
  });

  test('maps zeroes where there was nothing', () => {
    const space = new AddressSpace(EMPTY_SNAPSHOT, 16);
    space.map(0x10, 2);
    expect(space.load32(0, 0x1_1ffc)).toBe(0);
    expect(reasonOf(() => space.load32(0, 0x1_2000))).toMatchObject({ kind: 'memory' });
  });

  test('pokes and peeks as far as memory goes, without ending the run', () => {
    const space = new AddressSpace(new BytesSnapshot(0x1000, image), 16);
    expect(space.poke(0, 0x3ffe, Uint8Array.of(1, 2, 3, 4), RECEIVED)).toBe(2);
    expect([...space.peek(0, 0x3ffe, 4)]).toEqual([1, 2]);
    expect(space.slab.marks[space.find(0, 0x3fff)]).toBe(RECEIVED);
  });

  test('addresses wrap at the top', () => {
    const top = {
      readPage: (high: number, low: number) =>
        low === 0 || high === 0xffffffff ? image.subarray(0, 4096) : undefined,
    };
    const space = new AddressSpace(top, 16);
    expect(space.load16(-1, -1)).toBe((image[4095] ?? 0) | ((image[0] ?? 0) << 8));
  });

  test('the first snapshot that has a page gives it', () => {
    const both = layered(new BytesSnapshot(0x1000, Uint8Array.of(1)), new ZeroSnapshot(0x1000, 0x3000));
    expect(both.readPage(0, 0x1000)?.[0]).toBe(1);
    expect(both.readPage(0, 0x2000)?.[0]).toBe(0);
    expect(both.readPage(0, 0x3000)).toBeUndefined();
  });
});
