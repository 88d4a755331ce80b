import { describe, expect, test } from 'vitest';
import { findLogProblems } from '../../lab/guest-log.ts';

const HARMED = [
  '[    1.2] Oops: 0002 [#1] PREEMPT SMP PTI',
  '[    1.2] Oops: Oops: 0000 [#1] SMP',
  '[    1.2] BUG: unable to handle page fault for address: ffff8880000000',
  '[    1.2] BUG: Bad page state in process loop  pfn:0a1b2',
  '[    1.2] BUG: Bad rss-counter state mm:00000000 type:MM_ANONPAGES val:1',
  '[    1.2] BUG: scheduling while atomic: loop/12/0x2',
  '[    1.2] WARNING: CPU: 0 PID: 12 at mm/mmap.c:1 foo+0x1/0x2',
  '[    1.2] Call Trace:',
  '[    1.2] Kernel panic - not syncing: Fatal exception in interrupt',
  '[    1.2] swap_info_get: Bad swap file entry; bad pte 80000000',
  '[    1.2] general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1]',
  '[    1.2] rcu: INFO: rcu_preempt self-detected stall on CPU',
  '[    1.2] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:',
  '[    1.2] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [loop:12]',
  '[    1.2] INFO: task loop:12 blocked for more than 120 seconds.',
  '[    1.2] agent[1]: segfault at 0 ip 0000000000401000 sp 00007ffd error 4 in agent',
  '[    1.2] invalid opcode: 0000 [#1] SMP',
  '[    1.2] loop invoked oom-killer: gfp_mask=0x0, order=0',
  '[    1.2] page_table_check: BUG at mm/page_table_check.c:1',
];

const FINE = [
  '[    0.0] Linux version 6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org)',
  '[    0.0] DEBUG: something',
  '[    0.5] Freeing unused kernel image (initmem) memory: 2612K',
  '[    0.5] x86/mm: Checked W+X mappings: passed, no W+X pages found.',
  '[    0.5] kfence: initialized - using 2097152 bytes for 255 objects at 0x(____ptrval____)-0x(____ptrval____)',
  '[    0.5] rcu: Hierarchical RCU implementation.',
  '[    0.5] rcu: \tRCU event tracing is enabled.',
  "[    1.9] process '/lab/attack/exec_stack' started with executable stack",
  '[    1.9] rwx[71]: segfault at 7f0000000000 ip 00007f0000000000 sp 00007ffd error 15',
  '[    1.9] traps: signals[71] trap invalid opcode ip:401000 sp:7ffd error:0 in signals[400000+1000]',
  '[    1.9] Spectre V2 : WARNING is not what this line is about',
];

describe('problems in a guest log', () => {
  test.each(HARMED)('finds: %s', (line) => {
    expect(findLogProblems(`[    0.1] fine\n${line}\r\n[    9.9] fine\n`)).toEqual([line]);
  });

  test.each(FINE)('lets pass: %s', (line) => {
    expect(findLogProblems(line)).toEqual([]);
  });
});
