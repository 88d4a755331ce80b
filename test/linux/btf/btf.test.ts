import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UnderwatchError } from '../../../src/errors.ts';
import { BtfKind } from '../../../src/linux/btf/type-table.ts';
import { Btf, BtfError, describeStruct, renderStruct, typeName } from '../../../src/linux/btf.ts';
import { BtfWriter } from '../../support/btf-writer.ts';
import { kernelTypes } from '../../support/kernel-types.ts';

/** Types with one of every kind, and a struct whose members need all of them. */
function sample(): Btf {
  const writer = new BtfWriter();
  const int = writer.int('unsigned int', 4);
  const char = writer.int('char', 1);
  const word = writer.typedef('u64', writer.int('long unsigned int', 8));
  const forward = writer.raw('later', BtfKind.forward, 0, 0, []);
  const text = writer.pointer(writer.qualifier(BtfKind.const, char));
  const name = writer.array(char, int, 16);
  const inner = writer.struct('path', 16, [
    { name: 'mnt', type: writer.pointer(forward), at: 0 },
    { name: 'dentry', type: writer.pointer(0), at: 64 },
  ]);
  const deepest = writer.struct('', 8, [
    { name: 'low', type: int, at: 0 },
    { name: 'high', type: int, at: 32 },
  ]);
  const either = writer.union('', 8, [
    { name: 'whole', type: word, at: 0 },
    { name: '', type: deepest, at: 0 },
  ]);
  const callback = writer.pointer(writer.functionPrototype(int, [text, 0]));
  writer.enumeration('mode', { FIRST: 0, SECOND: 7 });
  writer.enumeration64('large', { HUGE_ONE: 9 });
  writer.raw('f', BtfKind.function, 0, callback, []);
  writer.raw('v', BtfKind.variable, 0, int, [1]);
  writer.raw('.data', BtfKind.dataSection, 1, 4, [int, 0, 4]);
  writer.raw('double', BtfKind.float, 0, 8, []);
  writer.raw('tag', BtfKind.declarationTag, 0, int, [0xffff_ffff]);
  writer.struct('example', 80, [
    { name: 'flag', type: int, at: 0, width: 1 },
    { name: 'rest', type: int, at: 1, width: 31 },
    { name: 'f_path', type: writer.qualifier(BtfKind.volatile, inner), at: 64 },
    { name: '', type: either, at: 192 },
    { name: 'comm', type: name, at: 256 },
    { name: 'call', type: writer.qualifier(BtfKind.typeTag, callback, 'rcu'), at: 384 },
    { name: 'label', type: text, at: 448 },
  ]);
  writer.struct('path', 4, [{ name: 'private', type: int, at: 0 }]);
  writer.typedef('example_t', writer.struct('', 4, [{ name: 'only', type: int, at: 0 }]));
  return new Btf(writer.bytes(32));
}

describe('types', () => {
  const btf = sample();
  const place = (struct: string, path: string) => {
    const member = btf.member(struct, path);
    return member && [member.offset, member.size];
  };

  test('of a struct are its members', () => {
    const struct = btf.struct('example');
    expect(struct).toMatchObject({ name: 'example', kind: 'struct', size: 80 });
    expect(struct?.members.map(({ name, offset, size }) => [name, offset, size])).toEqual([
      ['flag', 0, 4],
      ['rest', 0, 4],
      ['f_path', 8, 16],
      ['', 24, 8],
      ['comm', 32, 16],
      ['call', 48, 8],
      ['label', 56, 8],
    ]);
    expect(btf.struct('no_such')).toBeUndefined();
  });

  test('are found by path, through named and unnamed structs and unions', () => {
    expect(place('example', 'f_path.dentry')).toEqual([16, 8]);
    expect(place('example', 'high')).toEqual([28, 4]);
    expect(place('example', 'whole')).toEqual([24, 8]);
    expect(place('example_t', 'only')).toEqual([0, 4]);
    expect(place('example', 'f_path.no')).toBeUndefined();
    expect(place('example', 'comm.no')).toBeUndefined();
  });

  test('of one name are told apart by their members', () => {
    expect(place('path', 'private')).toEqual([0, 4]);
    expect(place('path', 'dentry')).toEqual([8, 8]);
  });

  test('tell bit fields by their bits', () => {
    expect(btf.member('example', 'flag')).toMatchObject({ bitOffset: 0, bitFieldWidth: 1 });
    expect(btf.member('example', 'rest')).toMatchObject({ bitOffset: 1, bitFieldWidth: 31 });
    expect(btf.member('example', 'comm')?.bitFieldWidth).toBe(0);
  });

  test('of enumerations give their constants', () => {
    expect(btf.enumerationWith('SECOND')?.get('FIRST')).toBe(0);
    expect(btf.enumerationWith('SECOND')?.get('SECOND')).toBe(7);
    expect(btf.enumerationWith('HUGE_ONE')?.get('HUGE_ONE')).toBe(9);
    expect(btf.enumerationWith('NONE')).toBeUndefined();
  });

  test('are searched by glob', () => {
    expect(btf.search('*a*')).toEqual(['example', 'path']);
    expect(btf.search('pat?')).toEqual(['path']);
    expect(btf.search('p.th')).toEqual([]);
  });

  test('are written as in C', () => {
    const nameOf = (path: string) => typeName(btf, btf.member('example', path)?.type ?? 0);
    expect(nameOf('f_path.mnt')).toBe('struct later *');
    expect(nameOf('f_path.dentry')).toBe('void *');
    expect(nameOf('comm')).toBe('char[16]');
    expect(nameOf('call')).toBe('unsigned int (*)(const char *, ...)');
    expect(nameOf('label')).toBe('const char *');
    const struct = btf.struct('example');
    if (struct === undefined) throw new Error('no struct example');
    expect(renderStruct(describeStruct(btf, struct)).replaceAll(/ {2,}\/\*/g, ' /*')).toBe(
      `struct example {
  unsigned int flag:1; /*     0     4 */
  unsigned int rest:31; /*     0     4 */
  volatile struct path f_path; /*     8    16 */
  union {
    u64 whole; /*    24     8 */
    struct {
      unsigned int low; /*    24     4 */
      unsigned int high; /*    28     4 */
    }; /*    24     8 */
  }; /*    24     8 */
  char comm[16]; /*    32    16 */
  unsigned int (*call)(const char *, ...); /*    48     8 */
  const char *label; /*    56     8 */
}; /* size: 80 */`,
    );
  });
});

describe('broken type information', () => {
  test.each([
    ['no header', Buffer.alloc(64)],
    ['an empty blob', Buffer.alloc(0)],
    ['a blob cut short', kernelTypes().subarray(0, 2000)],
  ])('%s is an error', (_what, bytes) => {
    expect(() => new Btf(bytes)).toThrow(BtfError);
  });

  test('an unknown kind is an error that names it', () => {
    const writer = new BtfWriter();
    writer.raw('x', 25, 0, 0, []);
    expect(() => new Btf(writer.bytes())).toThrow('BTF: type 1 is of the unknown kind 25');
  });

  test('a type cut short, and one that contains itself, are errors', () => {
    const short = new BtfWriter();
    short.raw('s', BtfKind.struct, 3, 8, [0, 0, 0]);
    expect(() => new Btf(short.bytes())).toThrow(/cut short/);
    const circular = new BtfWriter();
    circular.raw('t', BtfKind.typedef, 0, 1, []);
    circular.raw('s', BtfKind.struct, 1, 8, [0, 2, 0]);
    const btf = new Btf(circular.bytes());
    expect(() => btf.resolve(1)).toThrow('BTF: type 1 refers to itself');
    expect(() => btf.member('s', 'x')).toThrow(/contains itself/);
    expect(() => typeName(btf, 1)).not.toThrow();
  });

  test('with any bytes changed is read or refused, and never hangs', () => {
    const good = kernelTypes({ vmas: 'maple tree' });
    const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 12 }), (changes) => {
        const bytes = Uint8Array.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        expectOnlyTypedErrors(() => {
          const btf = new Btf(bytes);
          for (const name of btf.search('*')) {
            const struct = btf.struct(name);
            if (struct !== undefined) renderStruct(describeStruct(btf, struct));
          }
          btf.enumerationWith('maple_leaf_64');
        });
      }),
      { numRuns: 300 },
    );
  });
});

function expectOnlyTypedErrors(work: () => void): void {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(UnderwatchError);
  }
}
