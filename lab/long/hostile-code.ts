import { Judge } from '../../src/analysis/judge.ts';
import { rawCodeInput } from '../../src/analysis/raw-code.ts';
import { Random } from '../random.ts';
import type { LongTest } from './long-test.ts';

/** Code that tries to keep an emulator busy, or to fill its memory; each as bytes of 64-bit code that also run as 32-bit. */
const HOSTILE: Readonly<Record<string, string>> = {
  /** jmp $ */
  'an endless loop': 'ebfe',
  /** call $ */
  'deep recursion': 'e8fbffffff',
  /** call +0; pop rsi; loop: inc byte [rsi+8]; nop; jmp +0; add al, 0; jmp loop: each round changes the ADD that runs next */
  'a self-modifying storm': 'e8000000005e fe4608 90 eb00 04 00 ebf6',
  /** or ecx, -1; mov edi, esp; cld; rep stosb; jmp back */
  'a giant REP STOSB': '83c9ff 89e7 fc f3aa ebf6',
  /** or ecx, -1; mov esi, esp; mov edi, esp; rep movsb; jmp back */
  'a giant REP MOVSB': '83c9ff 89e6 89e7 f3a4 ebf5',
  /** or ecx, -1; mov esi, esp; repe cmpsb; jmp back */
  'a giant REP CMPSB': '83c9ff 89e6 89e7 f3a6 ebf5',
  /** sub esp, 0x1000; push eax; jmp back: a new page each round */
  'page-hopping': '81ec00100000 50 ebf7',
  /** mov al, SYS_mmap of either table; syscall or int 0x80; jmp back */
  'system calls without end': 'b827000000 cd80 ebf7',
  /** pushf; popf; jmp back */
  'flags back and forth': '9c 9d ebfc',
};

const BUDGETS = [256, 10_000, 3_000_000] as const;
/** Random instructions that are put before the hostile ones, so that no two rounds are the same. */
const MOST_PADDING = 64;
const HARMLESS = [0x90, 0x40, 0xf8, 0xf9, 0xfc, 0x98, 0x99] as const;
const ROUNDS = 50;

/** Runs every hostile piece in both modes with growing budgets; what exceeded its budget is told. */
export async function judgeHostileCode(
  rounds: number,
  seed: number,
  print: (line: string) => void,
): Promise<boolean> {
  using judge = new Judge();
  const random = new Random(seed);
  let isFine = true;
  for (const [name, hex] of Object.entries(HOSTILE)) {
    let most = 0;
    const stops = new Set<string>();
    for (let round = 0; round < rounds; round++) {
      for (const bits of [64, 32] as const) {
        for (const budget of BUDGETS) {
          const code = padded(random, Buffer.from(hex.replaceAll(' ', ''), 'hex'));
          const judgement = await judge.judgeInSlices({ ...rawCodeInput(code, bits), budget });
          stops.add(judgement.stopText.replaceAll(/0x[0-9a-f]+/g, '…'));
          most = Math.max(most, judgement.milliseconds);
          if (judgement.instructions > budget) {
            isFine = false;
            print(`${name}, ${bits} bits, seed ${seed}: ${judgement.instructions} instructions of ${budget}`);
          }
        }
      }
    }
    print(`${name}: at most ${most.toFixed(0)} ms; ${[...stops].join('; ')}`);
  }
  return isFine;
}

function padded(random: Random, code: Uint8Array): Uint8Array {
  const padding = Array.from({ length: random.below(MOST_PADDING) }, () => random.pick(HARMLESS));
  return Uint8Array.of(...padding, ...code);
}

export const HOSTILE_CODE: LongTest = {
  name: 'hostile-code',
  summary: 'code that tries to keep the emulator busy ends within its budget',
  run: (seed, print) => judgeHostileCode(ROUNDS, seed, print),
};
