import { expect, test } from 'vitest';
import { readBanner, releaseOf } from '../../src/linux/banner.ts';
import { parseVmcoreinfo } from '../../src/linux/vmcoreinfo.ts';
import { ArrayMemory } from '../support/array-memory.ts';

test('a banner is read up to its newline', () => {
  const memory = new ArrayMemory(8192);
  memory.write(100, Buffer.from('Linux version 6.1.0-56-cloud-amd64 (a@b) #1 SMP\n\0rest'));
  expect(readBanner(memory, 100)).toBe('Linux version 6.1.0-56-cloud-amd64 (a@b) #1 SMP');
  expect(releaseOf(readBanner(memory, 100) ?? '')).toBe('6.1.0-56-cloud-amd64');
});

test('what is not a banner is not read as one', () => {
  const memory = new ArrayMemory(8192);
  memory.write(0, Buffer.from('Linux version %s (%s)\n'));
  expect(readBanner(memory, 0)).toBeUndefined();
  expect(readBanner(memory, 4096)).toBeUndefined();
  expect(readBanner(memory, 8190)).toBeUndefined();
});

test('a banner without an end is cut', () => {
  const memory = new ArrayMemory(8192);
  memory.write(0, Buffer.from(`Linux version 6.1 ${'x'.repeat(4000)}`));
  expect(readBanner(memory, 0)).toHaveLength(1024);
});

test('VMCOREINFO is lines of names and values', () => {
  const text = 'OSRELEASE=6.1\nNUMBER(phys_base)=-14680064\nnothing\n=x\nA=b=c\n';
  expect([...parseVmcoreinfo(text)]).toEqual([
    ['OSRELEASE', '6.1'],
    ['NUMBER(phys_base)', '-14680064'],
    ['A', 'b=c'],
  ]);
});
