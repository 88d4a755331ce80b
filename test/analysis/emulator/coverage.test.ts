import { expect, test } from 'vitest';
import { INSTRUCTION_GROUPS, VECTOR_GROUPS } from '../../../src/analysis/emulator/instructions/table.ts';

const HEAD = `# Instructions that the emulator executes

Generated from the tables in \`src/analysis/emulator/instructions/\`, which the decoder reads and the differential test goes through. All forms
of a mnemonic are meant, in 64-bit and 32-bit mode, with every prefix that it takes. Any other instruction ends an emulation with its name.
`;

test('docs/instructions.md lists the tables', async () => {
  const lines = [HEAD];
  let count = 0;
  for (const { title, instructions } of [...INSTRUCTION_GROUPS, ...VECTOR_GROUPS]) {
    const mnemonics = Object.keys(instructions).map((mnemonic) => mnemonic.toLowerCase());
    count += mnemonics.length;
    lines.push(`**${title}** (${mnemonics.length}): ${mnemonics.sort().join(', ')}\n`);
  }
  lines.push(`${count} in all.\n`);
  await expect(lines.join('\n')).toMatchFileSnapshot('../../../docs/instructions.md');
});
