import { describe, expect, test } from 'vitest';
import { TargetError } from '../../../src/errors.ts';
import { parseMonitorRegisters } from '../../../src/machine/qemu/monitor-registers.ts';

/** As QEMU 7.2 and 11.1 print it for a 6.1 kernel in user mode. */
const LONG_MODE = `
CPU#0
RAX=000000000001ad40 RBX=0000000000000001 RCX=0000000000000002 RDX=4000000000000000
RSI=0000000000000083 RDI=0000000000002114 RBP=ffffffffa6e1aa40 RSP=ffffffffa6e03e98
R8 =0000000000000008 R9 =00000000313b1273 R10=000000000000000a R11=0000000000000001
R12=0000000000000000 R13=0000000000000000 R14=0000000000000000 R15=0000000000014790
RIP=ffffffffa5e17a0b RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1
ES =0000 0000000000000000 00000000 00000000
CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]
SS =0018 0000000000000000 ffffffff 00cf9300 DPL=0 DS   [-WA]
DS =0000 0000000000000000 00000000 00000000
FS =0000 00007f1234567000 00000000 00000000
GS =0000 ffff8a0f4f800000 00000000 00000000
LDT=0000 0000000000000000 00000000 00008200 DPL=0 LDT
TR =0040 fffffe0000003000 00004087 00008900 DPL=0 TSS64-avl
GDT=     fffffe0000001000 0000007f
IDT=     fffffe0000000000 00000fff
CR0=80050033 CR2=0000000006fcd750 CR3=0000000002a46000 CR4=00750eb0
DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 DR3=0000000000000000 
DR6=00000000ffff0ff0 DR7=0000000000000400
EFER=0000000000000d01
FCW=037f FSW=0000 [ST=0] FTW=00 MXCSR=00001f80
FPR0=0000000000000000 0000 FPR1=0000000000000000 0000
YMM00=0000000000000000 0000000000000000 7461706c61657200 6b6e696c64616572
`;

/** As it is printed before an operating system runs. */
const REAL_MODE = `
CPU#1
EAX=00000000 EBX=00000000 ECX=00000000 EDX=00000663
ESI=00000000 EDI=00000000 EBP=00000000 ESP=00000000
EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0
ES =0000 00000000 0000ffff 00009300
CS =f000 ffff0000 0000ffff 00009b00
FS =0000 00000000 0000ffff 00009300
GS =0000 00000000 0000ffff 00009300
GDT=     00000000 0000ffff
IDT=     00000000 0000ffff
CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000
EFER=0000000000000000
`;

describe("the monitor's register dump", () => {
  test('of a vCPU in long mode', () => {
    const [vcpu] = parseMonitorRegisters(LONG_MODE);
    const get = (name: Parameters<NonNullable<typeof vcpu>['registers']['get']>[0]) =>
      vcpu?.registers.get(name);
    expect(vcpu?.idtBase).toBe(0xffff_fe00_0000_0000n);
    expect([get('rax'), get('rsp'), get('r8'), get('r10'), get('r15'), get('rip'), get('eflags')]).toEqual([
      0x1ad40n,
      0xffff_ffff_a6e0_3e98n,
      8n,
      10n,
      0x14790n,
      0xffff_ffff_a5e1_7a0bn,
      0x246n,
    ]);
    expect([get('cs'), get('ss'), get('fs_base'), get('gs_base')]).toEqual([
      0x10n,
      0x18n,
      0x7f12_3456_7000n,
      0xffff_8a0f_4f80_0000n,
    ]);
    expect([get('cr0'), get('cr2'), get('cr3'), get('cr4'), get('efer')]).toEqual([
      0x8005_0033n,
      0x6fc_d750n,
      0x2a4_6000n,
      0x75_0eb0n,
      0xd01n,
    ]);
  });

  test('of several, one of them in real mode', () => {
    const vcpus = parseMonitorRegisters(LONG_MODE + REAL_MODE);
    expect(vcpus).toHaveLength(2);
    expect(vcpus[1]?.registers.get('rip')).toBe(0xfff0n);
    expect(vcpus[1]?.registers.get('rdx')).toBe(0x663n);
    expect(vcpus[1]?.registers.get('cs')).toBe(0xf000n);
  });

  test.each(['', 'unknown command', '\nCPU#0\nR00=00000000 R01=00000000', LONG_MODE.replace('IDT', 'XDT')])(
    'that is not understood is a TargetError',
    (text) => {
      expect(() => parseMonitorRegisters(text)).toThrow(TargetError);
    },
  );
});
