import { TargetError } from '../../errors.ts';
import { gva } from '../../memory/address.ts';
import { type RegisterName, Registers } from '../../x86/registers.ts';
import type { VcpuState } from '../machine.ts';

const CPU_HEADING = /^CPU#\d+\s*$/m;
/** `RAX=000000000001ad40`, `R8 =...`, and for a segment its selector and base: `GS =0000 ffff8a0f4f800000`. */
const REGISTER = /\b([A-Z][A-Z0-9]{1,4}) *= *([0-9a-f]{2,16})(?: ([0-9a-f]{8,16})\b)?/g;

const NAMES: Readonly<Record<string, RegisterName>> = {
  RFL: 'eflags',
  EFL: 'eflags',
  CR0: 'cr0',
  CR2: 'cr2',
  CR3: 'cr3',
  CR4: 'cr4',
  EFER: 'efer',
  CS: 'cs',
  SS: 'ss',
  DS: 'ds',
  ES: 'es',
  FS: 'fs',
  GS: 'gs',
};
const BASES: Readonly<Record<string, RegisterName>> = { FS: 'fs_base', GS: 'gs_base' };
const GENERAL = /^(?:R(?:\d{1,2}|[A-D]X|[SD]I|[BS]P|IP)|E(?:[A-D]X|[SD]I|[BS]P|IP))$/;

/**
 * Reads what the monitor prints for `info registers -a`. It shows neither the inactive GS base nor CR8: they are 0.
 * @throws TargetError where a vCPU's text is not understood
 */
export function parseMonitorRegisters(text: string): VcpuState[] {
  const parts = text.split(CPU_HEADING).slice(1);
  if (parts.length === 0) throw new TargetError("QEMU's register dump is not understood");
  return parts.map(parseVcpu);
}

function parseVcpu(text: string): VcpuState {
  const registers = new Registers();
  let idtBase: bigint | undefined;
  let hasCr3 = false;
  for (const [, name = '', first = '', second] of text.matchAll(REGISTER)) {
    const value = BigInt(`0x${first}`);
    const base = BASES[name];
    const target = nameOf(name);
    if (name === 'IDT') idtBase = value;
    if (target !== undefined) registers.set(target, value);
    if (base !== undefined && second !== undefined) registers.set(base, BigInt(`0x${second}`));
    hasCr3 ||= name === 'CR3';
  }
  if (idtBase === undefined || !hasCr3) throw new TargetError("QEMU's register dump is not understood");
  return { registers, idtBase: gva(idtBase) };
}

function nameOf(shown: string): RegisterName | undefined {
  const name = NAMES[shown];
  if (name !== undefined) return name;
  if (!GENERAL.test(shown)) return undefined;
  return shown.replace(/^E/, 'R').toLowerCase() as RegisterName;
}
