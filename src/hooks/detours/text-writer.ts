import { TargetError } from '../../errors.ts';
import type { KernelMemory } from '../../linux/kernel-memory.ts';
import type { Debugger } from '../../machine/machine.ts';
import { type GuestVirtualAddress, gva, hex, highWord, lowWord } from '../../memory/address.ts';
import { noExecuteEnabled, pagingLevels, rootOfCr3 } from '../../x86/control-registers.ts';
import { PageTables } from '../../x86/page-tables.ts';

/**
 * Writes kernel text while the machine stands still. It goes through the debugger, as an emulator must learn that code
 * it has translated is not the same any more; and through the page tables of a vCPU, which under KPTI do not map the
 * kernel while user mode runs: then that vCPU gets the kernel's own for the moment.
 * @throws TargetError where the bytes did not arrive
 */
export async function writeText(
  debug: Debugger,
  memory: KernelMemory,
  address: GuestVirtualAddress,
  bytes: Uint8Array,
): Promise<void> {
  const [vcpu = 1] = debug.vcpus;
  const registers = await debug.readRegisters(vcpu);
  const tables = new PageTables(
    memory.physical,
    rootOfCr3(registers),
    pagingLevels(registers),
    noExecuteEnabled(registers),
  );
  const mapped = tables.translate(highWord(address), lowWord(address)) === memory.locateAddress(address);
  if (mapped) await debug.writeCode(vcpu, address, bytes);
  else {
    await debug.writeRegisters(vcpu, { cr3: BigInt(memory.pageTables.root) });
    try {
      await debug.writeCode(vcpu, address, bytes);
    } finally {
      await debug.writeRegisters(vcpu, { cr3: registers.get('cr3') });
    }
  }
  if (!Buffer.from(bytes).equals(memory.readBytes(gva(address), bytes.length)))
    throw new TargetError(`the kernel's text at ${hex(address)} (GVA) could not be written`);
}
