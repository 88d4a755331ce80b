import { TargetError } from '../../errors.ts';
import { REGISTER_NAMES, type RegisterName, Registers, registerIndex } from '../../x86/registers.ts';

/** Included documents, at most. */
const MAX_DOCUMENTS = 32;

/** One register, as the stub numbers and sizes it. */
export interface RegisterPlace {
  readonly number: number;
  /** In bytes. */
  readonly size: number;
  /** Where it starts in the answer to `g`, in bytes. */
  readonly offset: number;
}

/** The registers of a stub: number, size and place of each (GDB manual, appendix G). */
export class TargetDescription {
  readonly #places: ReadonlyMap<string, RegisterPlace>;

  private constructor(places: ReadonlyMap<string, RegisterPlace>) {
    this.#places = places;
  }

  /**
   * Reads a description and all that it includes.
   * @param fetch gives the text of one document, `target.xml` first
   * @throws TargetError for a machine that is no 64-bit x86
   */
  static async read(fetch: (name: string) => Promise<string>): Promise<TargetDescription> {
    const documents = ['target.xml'];
    const registers: { name: string; number: number; size: number }[] = [];
    for (let i = 0; i < documents.length && i < MAX_DOCUMENTS; i++) {
      const text = withoutComments(await fetch(documents[i] ?? ''));
      documents.push(...includes(text).filter((name) => !documents.includes(name)));
      for (const register of registersOf(text, (registers.at(-1)?.number ?? -1) + 1)) {
        registers.push(register);
      }
    }
    const description = new TargetDescription(place(registers));
    for (const name of REGISTER_NAMES) {
      if (description.place(name) === undefined && !OPTIONAL.has(name)) {
        throw new TargetError(`QEMU's gdbstub names no register ${name}: the machine is no 64-bit x86`);
      }
    }
    return description;
  }

  /** Where a register is; undefined for one that the stub does not have. */
  place(name: RegisterName): RegisterPlace | undefined {
    return this.#places.get(name);
  }

  /** Decodes the answer to `g`. Registers that it does not hold, or marks as unavailable, are 0. */
  decode(answer: string): Registers {
    const bytes = Buffer.from(answer.replaceAll('x', '0'), 'hex');
    const registers = new Registers();
    for (const name of REGISTER_NAMES) {
      const place = this.#places.get(name);
      if (place === undefined || place.offset + place.size > bytes.length) continue;
      const at = 2 * registerIndex(name);
      registers.words[at] = bytes.readUIntLE(place.offset, Math.min(4, place.size));
      if (place.size >= 8) registers.words[at + 1] = bytes.readUInt32LE(place.offset + 4);
    }
    return registers;
  }
}

/** What older stubs leave out and nothing depends on. */
const OPTIONAL: ReadonlySet<RegisterName> = new Set(['cr2', 'cr8', 'k_gs_base']);

function withoutComments(text: string): string {
  return text.replace(/<!--[\s\S]*?-->/g, '');
}

function includes(text: string): string[] {
  return [...text.matchAll(/<xi:include\s[^>]*href="([^"]+)"/g)].map((match) => match[1] ?? '');
}

/** The `reg` elements; one without a number follows the one before it. */
function* registersOf(
  text: string,
  first: number,
): Generator<{ name: string; number: number; size: number }> {
  let next = first;
  for (const [element] of text.matchAll(/<reg\s[^>]*>/g)) {
    const name = attribute(element, 'name');
    const bits = Number(attribute(element, 'bitsize'));
    const number = Number(attribute(element, 'regnum') ?? next);
    if (name === undefined || !(bits > 0 && bits <= 4096) || !Number.isInteger(number)) {
      throw new TargetError("QEMU's gdbstub describes its registers in a way that is not understood");
    }
    next = number + 1;
    yield { name, number, size: Math.ceil(bits / 8) };
  }
}

function attribute(element: string, name: string): string | undefined {
  return new RegExp(`\\s${name}="([^"]*)"`).exec(element)?.[1];
}

/** `g` holds the registers in the order of their numbers, one after the other. */
function place(
  registers: readonly { name: string; number: number; size: number }[],
): Map<string, RegisterPlace> {
  const places = new Map<string, RegisterPlace>();
  let offset = 0;
  for (const { name, number, size } of [...registers].sort((a, b) => a.number - b.number)) {
    places.set(name, { number, size, offset });
    offset += size;
  }
  return places;
}
