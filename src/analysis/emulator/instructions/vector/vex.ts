import { Mnemonic } from 'iced-x86';
import type { Execute, MnemonicName } from '../group.ts';

type Instructions = Readonly<Partial<Record<MnemonicName, Execute>>>;

/** Adds the VEX twin (`Vpaddb` to `Paddb`) of each instruction that has one; the same function executes both. */
export function withVex(instructions: Instructions): Instructions {
  const all: Partial<Record<MnemonicName, Execute>> = { ...instructions };
  for (const [name, execute] of Object.entries(instructions)) {
    const twin = `V${name.toLowerCase()}` as MnemonicName;
    if (Mnemonic[twin] !== undefined) all[twin] = execute;
  }
  return all;
}
