import { describe, expect, test } from 'vitest';
import { TargetError } from '../../../src/errors.ts';
import { TargetDescription } from '../../../src/machine/qemu/target-description.ts';
import { REGISTER_NAMES } from '../../../src/x86/registers.ts';

const NARROW = new Set(['eflags', 'cs', 'ss', 'ds', 'es', 'fs', 'gs']);

/** The registers in the order of the names, with a comment that holds one more, as QEMU's description has. */
function core(leaveOut?: string): string {
  const registers = REGISTER_NAMES.filter((name) => name !== leaveOut).map(
    (name, i) =>
      `<reg name="${name}" bitsize="${NARROW.has(name) ? 32 : 64}" type="int"${i === 0 ? ' regnum="0"' : ''}/>`,
  );
  registers.splice(24, 0, '<!--reg name="cs_base" bitsize="64"/>\n<reg name="ss_base" bitsize="64"/-->');
  return `<?xml version="1.0"?><feature name="core">${registers.join('\n')}</feature>`;
}

function read(documents: Readonly<Record<string, string>>): Promise<TargetDescription> {
  return TargetDescription.read(async (name) => documents[name] ?? '');
}

const WHOLE = { 'target.xml': '<target><xi:include href="core.xml"/></target>', 'core.xml': core() };

describe('a target description', () => {
  test("gives QEMU's own numbers, commented registers left out", async () => {
    const description = await read(WHOLE);
    expect(description.place('rip')).toEqual({ number: 16, size: 8, offset: 128 });
    expect(description.place('eflags')).toEqual({ number: 17, size: 4, offset: 136 });
    expect(description.place('fs_base')).toEqual({ number: 24, size: 8, offset: 164 });
    expect(description.place('cr3')).toEqual({ number: 29, size: 8, offset: 204 });
    expect(description.place('efer')?.number).toBe(32);
  });

  test('decodes `g`, short answers and unavailable registers too', async () => {
    const description = await read(WHOLE);
    const registers = description.decode(
      `8877665544332211${'xx'.repeat(8)}${'00'.repeat(6 * 8)}0100000000000000`,
    );
    expect(registers.get('rax')).toBe(0x1122_3344_5566_7788n);
    expect(registers.get('rbx')).toBe(0n);
    expect(registers.get('r8')).toBe(1n);
    expect(registers.get('cr3')).toBe(0n);
  });

  test('does without what nothing depends on', async () => {
    const description = await read({ 'target.xml': core('k_gs_base') });
    expect(description.place('k_gs_base')).toBeUndefined();
    expect(description.place('cr0')?.number).toBe(26);
  });

  test.each([
    ['no registers', '<target/>'],
    ['another architecture', '<reg name="x0" bitsize="64" regnum="0"/>'],
    ['a size that is none', '<reg name="rax" bitsize="many"/>'],
    ['a document that includes itself', '<xi:include href="target.xml"/>'],
  ])('%s is a TargetError', async (_, text) => {
    await expect(read({ 'target.xml': text })).rejects.toThrow(TargetError);
  });

  test('documents without end are not followed', async () => {
    let count = 0;
    const endless = TargetDescription.read(async () => `<xi:include href="${count++}.xml"/>`);
    await expect(endless).rejects.toThrow(TargetError);
    expect(count).toBeLessThan(100);
  });
});
