import { Decoder, DecoderOptions, Formatter, FormatterSyntax, RflagsBits } from 'iced-x86';
import { AF, CF, DF, OF, PF, SF, ZF } from '../../../../src/analysis/emulator/registers.ts';
import { type Case, CODE, type Outcome } from './host-cpu.ts';

const SIGTRAP = 5;

const FLAG_BITS: readonly (readonly [number, number])[] = [
  [RflagsBits.OF, OF],
  [RflagsBits.SF, SF],
  [RflagsBits.ZF, ZF],
  [RflagsBits.AF, AF],
  [RflagsBits.CF, CF],
  [RflagsBits.PF, PF],
];

/** iced-x86's flag bits as bits of RFLAGS. */
function flagMask(bits: number): number {
  return FLAG_BITS.reduce((mask, [from, to]) => ((bits & from) !== 0 ? mask | to : mask), 0);
}

/** The first difference between the host's outcome and the emulator's, in words; undefined when there is none. */
export function difference(
  host: Outcome,
  emulated: Outcome,
  undefinedFlags: number,
  compareMmx = true,
): string | undefined {
  if (host.signal !== emulated.signal) return `signal ${host.signal}, emulated ${emulated.signal}`;
  if (host.signal !== SIGTRAP) return undefined;
  if (host.rip !== emulated.rip) return `rip ${host.rip.toString(16)}, emulated ${emulated.rip.toString(16)}`;
  for (let register = 0; register < 16; register++) {
    const [a, b] = [host.state.general[register] ?? 0n, emulated.state.general[register] ?? 0n];
    if (a !== b) return `register ${register}: ${a.toString(16)}, emulated ${b.toString(16)}`;
  }
  const mask = BigInt((CF | PF | AF | ZF | SF | DF | OF) & ~flagMask(undefinedFlags));
  const flags = (host.state.flags ^ emulated.state.flags) & mask;
  if (flags !== 0n) return `flags differ in ${flags.toString(16)} (host ${host.state.flags.toString(16)})`;
  for (const name of ['vectors', 'data', 'stack'] as const) {
    const at = host.state[name].findIndex((byte, index) => byte !== emulated.state[name][index]);
    if (at >= 0)
      return `${name} differ at ${at}: ${around(host.state[name], at)}, emulated ${around(emulated.state[name], at)}`;
  }
  if (!compareMmx) return undefined;
  const mmx = host.state.mmx.findIndex((value, index) => value !== emulated.state.mmx[index]);
  return mmx >= 0 ? `mm${mmx}: ${host.state.mmx[mmx]}, emulated ${emulated.state.mmx[mmx]}` : undefined;
}

function around(bytes: Uint8Array, at: number): string {
  return Buffer.from(bytes.subarray(at & ~15, (at & ~15) + 16)).toString('hex');
}

/** A case as a person reads it: bytes, instructions, registers. */
export function describeCase(test: Case): string {
  const decoder = new Decoder(test.bits, test.code, DecoderOptions.None);
  decoder.ip = BigInt(CODE);
  const formatter = new Formatter(FormatterSyntax.Nasm);
  const lines: string[] = [];
  while (decoder.canDecode) {
    const instruction = decoder.decode();
    lines.push(formatter.format(instruction));
    instruction.free();
  }
  decoder.free();
  formatter.free();
  const registers = [...test.state.general].map((value, register) => `${register}=${value.toString(16)}`);
  return `${test.bits} bits: ${Buffer.from(test.code).toString('hex')}: ${lines.join('; ')} | ${registers.join(' ')} flags=${test.state.flags.toString(16)}`;
}
