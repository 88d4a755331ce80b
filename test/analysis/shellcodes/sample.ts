import type { ChainName } from '../../../src/analysis/system-calls/chains.ts';
import type { TraitName } from '../../../src/analysis/traits.ts';

/** A handwritten shellcode, and what must be found in it. */
export interface Sample {
  readonly name: string;
  readonly bits: 32 | 64;
  /** GNU assembler, Intel syntax. */
  readonly source: string;
  readonly chain?: ChainName;
  /** Must stand in the text of one of the system calls. */
  readonly call?: string;
  readonly traits?: readonly TraitName[];
}
