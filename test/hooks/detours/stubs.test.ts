import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Hook } from '../../../src/hooks/detours/hook.ts';
import type { Request } from '../../../src/hooks/detours/mailbox.ts';
import { Action } from '../../../src/hooks/detours/mailbox-layout.ts';
import { gva } from '../../../src/memory/address.ts';
import { At, NativeGuest, OTHER, RAM, VMA_FLAGS, VMA_PROTECTION } from './native-guest.ts';

const ARGUMENTS = [0x10n, 0x200n, 0x3000n, 0x4_0000n, 0x50_0000n, 0x600_0000n];
const SUM = 0x654_3210n;
/** More than a test takes; and hardly anything, in ticks of the time-stamp counter. */
const LONG = 20_000_000_000n;
const SHORT = 1_000_000n;

const ASK: Hook = { does: { kind: 'ask' }, addressSpace: { kind: 'any' }, tests: [] };

let guest: NativeGuest;
beforeEach(() => {
  guest = new NativeGuest();
});
afterEach(() => guest[Symbol.dispose]());

describe('a stub that asks', () => {
  test('says who arrived, and goes on with the function as it was', async () => {
    guest.detour(ASK);
    guest.mailbox.open(LONG);
    const requests: Request[] = [];
    const result = await guest.call(ARGUMENTS, (request) => {
      requests.push(request);
      guest.mailbox.answer(request, { action: Action.goOn });
    });
    expect(result).toBe(SUM);
    expect(requests).toHaveLength(1);
    expect(requests[0]).toMatchObject({ stub: 7, calls: 0, cpu: 3, task: RAM + BigInt(At.task) });
    const names = ['rdi', 'rsi', 'rdx', 'rcx', 'r8', 'r9'] as const;
    expect(names.map((name) => requests[0]?.registers.get(name))).toEqual(ARGUMENTS);
    expect(guest.mailbox.inUse).toBe(false);
    expect(guest.mailbox.cost(7).requests).toBe(1);
    expect(guest.mailbox.cost(7).ticks).toBeGreaterThan(0n);
  });

  test('returns in the place of the function', async () => {
    guest.detour(ASK);
    guest.mailbox.open(LONG);
    const result = await guest.call(ARGUMENTS, (request) =>
      guest.mailbox.answer(request, { action: Action.return, value: 0xdead_beef_0000_0001n }),
    );
    expect(result).toBe(0xdead_beef_0000_0001n);
  });

  test('calls force_sig with SIGKILL in the place of the function', async () => {
    guest.detour(ASK);
    guest.mailbox.open(LONG);
    const result = await guest.call(ARGUMENTS, (request) =>
      guest.mailbox.answer(request, { action: Action.kill }),
    );
    expect(result).toBe(0x5009n);
  });

  test('calls functions, gives their results, and still has its arguments afterwards', async () => {
    guest.detour(ASK);
    guest.mailbox.open(LONG);
    const results: [number, bigint][] = [];
    const result = await guest.call(ARGUMENTS, (request) => {
      if (request.calls > 0) results.push([request.calls, request.result]);
      if (request.calls === 2) guest.mailbox.answer(request, { action: Action.goOn });
      else guest.mailbox.answer(request, { action: Action.call, function: OTHER, arguments: [70n, 28n] });
    });
    expect(results).toEqual([
      [1, 42n],
      [2, 42n],
    ]);
    expect(result).toBe(SUM);
  });

  test('goes on when nobody answers, and asks nobody again', async () => {
    guest.detour(ASK);
    guest.mailbox.open(SHORT);
    let asked = 0;
    const count = () => {
      asked++;
    };
    expect(await guest.call(ARGUMENTS, count)).toBe(SUM);
    expect(guest.mailbox.counters).toEqual({ timeouts: 1, dropped: 0, released: 0 });
    expect(guest.mailbox.hasTripped).toBe(true);
    expect(guest.mailbox.inUse).toBe(false);
    asked = 0;
    expect(await guest.call(ARGUMENTS, count)).toBe(SUM);
    expect(asked).toBe(0);
    expect(guest.mailbox.counters.timeouts).toBe(1);
    guest.mailbox.open(LONG);
    expect(guest.mailbox.hasTripped).toBe(false);
    await guest.call(ARGUMENTS, (request) => {
      asked++;
      guest.mailbox.answer(request, { action: Action.goOn });
    });
    expect(asked).toBe(1);
  });

  test('does not take the verdict on an older request for its own', async () => {
    guest.detour(ASK);
    guest.mailbox.open(SHORT);
    let old: Request | undefined;
    await guest.call(ARGUMENTS, (request) => {
      old ??= request;
    });
    guest.mailbox.open(LONG);
    const result = await guest.call(ARGUMENTS, (request) => {
      if (old !== undefined) guest.mailbox.answer(old, { action: Action.kill });
      guest.mailbox.answer(request, { action: Action.goOn });
    });
    expect(result).toBe(SUM);
  });

  test('goes on when every slot is taken', async () => {
    guest.detour(ASK);
    guest.mailbox.open(LONG);
    for (let slot = 0; slot < 16; slot++) guest.set64(At.mailbox + 0x1000 + 0x100 * slot, 1n);
    expect(await guest.call(ARGUMENTS)).toBe(SUM);
    expect(guest.mailbox.counters.dropped).toBe(1);
  });

  test('does not ask before the mailbox is open', async () => {
    guest.detour(ASK);
    let asked = 0;
    await guest.call(ARGUMENTS, () => {
      asked++;
    });
    expect(asked).toBe(0);
  });
});

describe('a filter', () => {
  const arrives = async (hook: Hook, values = ARGUMENTS): Promise<boolean> => {
    guest.detour(hook);
    guest.mailbox.open(LONG);
    let asked = false;
    const result = await guest.call(values, (request) => {
      asked = true;
      guest.mailbox.answer(request, { action: Action.return, value: 1n });
    });
    expect(result).toBe(asked ? 1n : values.reduce((sum, value) => sum + value, 0n));
    return asked;
  };

  test('lets arrive what the running task owns, if it is protected', async () => {
    const hook: Hook = { ...ASK, addressSpace: { kind: 'current' } };
    expect(await arrives(hook)).toBe(false);
    guest.addressSpaces.add(0xffff_8880_0123_4000n);
    expect(await arrives(hook)).toBe(false);
    guest.addressSpaces.add(guest.mm);
    expect(await arrives(hook)).toBe(true);
    guest.set64(At.task + 0x40, 0n);
    expect(await arrives(hook)).toBe(false);
  });

  test('finds an address space among many', async () => {
    const many = Array.from({ length: 127 }, (_, index) => 0xffff_8880_0100_0000n + BigInt(index * 0x440));
    for (const mm of many) guest.addressSpaces.add(mm);
    for (const mm of many.slice(0, 64)) guest.addressSpaces.delete(mm);
    const hook: Hook = { ...ASK, addressSpace: { kind: 'argument', argument: 0 } };
    const rest = ARGUMENTS.slice(1);
    for (const index of [0, 63, 64, 100, 126]) {
      expect(await arrives(hook, [many[index] ?? 0n, ...rest])).toBe(index >= 64);
    }
  });

  test('finds it in a structure, and tests a flag and a pointer there', async () => {
    const vma = RAM + BigInt(At.scratch);
    const hook: Hook = {
      ...ASK,
      addressSpace: { kind: 'member', argument: 0, offset: 0x10 },
      tests: [
        { kind: 'flag', argument: 0, offset: 0x20, mask: 4 },
        { kind: 'null', argument: 0, offset: 0x28 },
      ],
    };
    guest.addressSpaces.add(guest.mm);
    guest.set64(At.scratch + 0x10, guest.mm);
    const values = [vma, ...ARGUMENTS.slice(1)];
    expect(await arrives(hook, values)).toBe(false);
    guest.set64(At.scratch + 0x20, 0x75n);
    expect(await arrives(hook, values)).toBe(true);
    guest.set64(At.scratch + 0x28, 1n);
    expect(await arrives(hook, values)).toBe(false);
  });

  test('leaves out a program that does not matter, until it is called otherwise', async () => {
    const [bprm, file, dentry, name] = [0, 0x100, 0x200, 0x300].map((offset) => At.scratch + offset) as [
      number,
      number,
      number,
      number,
    ];
    const layout = { file: 8, filename: 16, mount: 24, dentry: 32, nameHash: 40 };
    guest.set64(bprm + layout.file, RAM + BigInt(file));
    guest.set64(bprm + layout.filename, RAM + BigInt(name));
    guest.set64(file + layout.mount, 0xffff_8880_0011_1100n);
    guest.set64(file + layout.dentry, RAM + BigInt(dentry));
    guest.set64(dentry + layout.nameHash, 0x4_1234_5678n);
    guest.memory.write(name, Buffer.from('/bin/true\0'));
    const hook: Hook = { ...ASK, addressSpace: { kind: 'program', argument: 0, layout } };
    const values = [RAM + BigInt(bprm), ...ARGUMENTS.slice(1)];
    let key = 0n;
    guest.detour(hook);
    guest.mailbox.open(LONG);
    await guest.call(values, (request) => {
      key = request.key;
      guest.mailbox.answer(request, { action: Action.goOn });
    });
    expect(key).toBeGreaterThan(1n << 63n);
    guest.programs.add(key);
    expect(await arrives(hook, values)).toBe(false);
    guest.memory.write(name, Buffer.from('/bin/truf\0'));
    expect(await arrives(hook, values)).toBe(true);
    guest.memory.write(name, Buffer.from('/bin/true\0'));
    expect(await arrives(hook, values)).toBe(false);
    for (const [at, value] of [
      [file + layout.mount, 0xffff_8880_0011_1108n],
      [dentry + layout.nameHash, 0x4_1234_5679n],
    ] as const) {
      const before = guest.get64(at);
      guest.set64(at, value);
      expect(await arrives(hook, values)).toBe(true);
      guest.set64(at, before);
    }
    guest.programs.clear();
    expect(await arrives(hook, values)).toBe(true);
  });

  test('tests bits of an argument', async () => {
    const hook: Hook = { ...ASK, tests: [{ kind: 'bits', argument: 1, mask: 0x15, equals: 0x15 }] };
    expect(await arrives(hook, [1n, 0x15n, 0n, 0n, 0n, 0n])).toBe(true);
    expect(await arrives(hook, [1n, 0x1fn, 0n, 0n, 0n, 0n])).toBe(true);
    expect(await arrives(hook, [1n, 0x14n, 0n, 0n, 0n, 0n])).toBe(false);
  });
});

describe('page-table entries', () => {
  const ADDRESS = 0x7f12_3456_7000n;
  const NO_EXECUTE = 1n << 63n;
  const MARK = 1n << 56n;
  const ARMED = NO_EXECUTE | MARK | 0x3067n;
  const CATCH: Hook = {
    does: { kind: 'catch', address: 2, release: true },
    addressSpace: { kind: 'current' },
    tests: [{ kind: 'bits', argument: 1, mask: 0x15, equals: 0x15 }],
  };
  const FAULT = [1n, 0x15n, ADDRESS, 4n, 5n, 6n];
  const FAULT_SUM = FAULT.reduce((sum, value) => sum + value, 0n);

  /** Writes page tables for one address from the root on; gives the guest-physical address of the leaf entry. */
  function mapAddress(levels: 4 | 5, leafLevel: 1 | 2, leaf: bigint): number {
    let table: number = At.root;
    for (let level: number = levels; ; level--) {
      const entry = table + 8 * Number((ADDRESS >> BigInt(12 + 9 * (level - 1))) & 0x1ffn);
      guest.set64(entry, level === leafLevel ? leaf : BigInt(table + 0x1000) | 0x67n);
      if (level === leafLevel) return entry;
      table += 0x1000;
    }
  }

  test.each([
    [4, 1],
    [4, 2],
    [5, 1],
    [5, 2],
  ] as const)(
    'are exchanged atomically if they are what was seen: %i levels, leaf at %i',
    async (levels, leafLevel) => {
      const armed = ARMED | (leafLevel === 2 ? 0x80n : 0n);
      const entry = mapAddress(levels, leafLevel, armed);
      guest.detour(CATCH, levels);
      guest.addressSpaces.add(guest.mm);
      guest.mailbox.open(LONG);
      const results: bigint[] = [];
      const result = await guest.call(FAULT, (request) => {
        if (request.calls > 0) results.push(request.result);
        const expected = request.calls === 0 ? armed ^ 0x40n : armed;
        const action = request.calls === 0 ? Action.exchange : Action.exchangeAndReturn;
        guest.mailbox.answer(request, { action, arguments: [ADDRESS, expected, expected & ~NO_EXECUTE] });
      });
      expect(results).toEqual([0n]);
      expect(result).not.toBe(FAULT_SUM);
      expect(guest.get64(entry)).toBe(armed & ~NO_EXECUTE);
    },
  );

  test('that are marked are released when nobody answers', async () => {
    const entry = mapAddress(4, 1, ARMED);
    guest.detour(CATCH);
    guest.addressSpaces.add(guest.mm);
    guest.mailbox.open(SHORT);
    expect(await guest.call(FAULT)).not.toBe(FAULT_SUM);
    expect(guest.get64(entry)).toBe(ARMED & ~NO_EXECUTE);
    expect(guest.mailbox.counters).toEqual({ timeouts: 1, dropped: 0, released: 1 });
  });

  test('that are marked are released where the address space is not protected any more', async () => {
    const entry = mapAddress(4, 1, ARMED);
    guest.detour(CATCH);
    guest.mailbox.open(LONG);
    expect(await guest.call(FAULT)).not.toBe(FAULT_SUM);
    expect(guest.get64(entry)).toBe(ARMED & ~NO_EXECUTE);
  });

  test('that allow execution already are tried again', async () => {
    const entry = mapAddress(4, 1, ARMED & ~NO_EXECUTE & ~MARK);
    guest.detour(CATCH);
    guest.mailbox.open(LONG);
    expect(await guest.call(FAULT)).not.toBe(FAULT_SUM);
    expect(guest.get64(entry)).toBe(ARMED & ~NO_EXECUTE & ~MARK);
    expect(guest.mailbox.counters.released).toBe(0);
  });

  test('without the mark are the process’s own affair', async () => {
    const entry = mapAddress(4, 1, ARMED & ~MARK);
    guest.detour(CATCH);
    guest.addressSpaces.add(guest.mm);
    guest.mailbox.open(SHORT);
    expect(await guest.call(FAULT)).toBe(FAULT_SUM);
    expect(guest.get64(entry)).toBe(ARMED & ~MARK);
    expect(guest.mailbox.counters.released).toBe(0);
  });

  test('are left alone by a hook that fails closed', async () => {
    const entry = mapAddress(4, 1, ARMED);
    guest.detour({ ...CATCH, does: { kind: 'catch', address: 2, release: false } });
    guest.addressSpaces.add(guest.mm);
    guest.mailbox.open(SHORT);
    expect(await guest.call(FAULT)).toBe(FAULT_SUM);
    expect(guest.get64(entry)).toBe(ARMED);
  });

  test('that are not present are no leaf', async () => {
    mapAddress(4, 1, ARMED & ~1n);
    guest.detour(CATCH);
    guest.addressSpaces.add(guest.mm);
    guest.mailbox.open(SHORT);
    expect(await guest.call(FAULT)).toBe(FAULT_SUM);
  });
});

describe('a stub that re-arms', () => {
  const VMA = RAM + BigInt(At.scratch);
  const REARM: Hook = { ...ASK, does: { kind: 'rearm', clear: gva(OTHER) } };
  const NO_EXECUTE = 1n << 63n;
  const ENTRY = 0x3067n;
  /** `(vma, address, ptep, entry, dirty)`: a function that adds them up shows the entry that it was given. */
  const call = async (dirty: bigint): Promise<bigint | undefined> => {
    const result = await guest.call([VMA, 0n, 0n, ENTRY, dirty]);
    return result === undefined ? undefined : BigInt.asUintN(64, result - VMA - dirty);
  };

  test.each([
    ['an armed VMA', 4n, NO_EXECUTE, 1n, NO_EXECUTE | ENTRY],
    ['a VMA that is not executable', 3n, NO_EXECUTE, 1n, ENTRY],
    ['a VMA that is not armed', 7n, 0n, 1n, ENTRY],
    ['an entry that is not written', 4n, NO_EXECUTE, 0n, ENTRY],
  ])('%s', async (_what, flags, protection, dirty, entry) => {
    guest.set64(At.scratch + VMA_FLAGS, flags);
    guest.set64(At.scratch + VMA_PROTECTION, protection);
    guest.detour(REARM);
    expect(await call(dirty)).toBe(entry);
  });
});
