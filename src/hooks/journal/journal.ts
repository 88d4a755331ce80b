import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { TargetError } from '../../errors.ts';

const Address = v.pipe(v.string(), v.regex(/^0x[0-9a-f]{1,16}$/));
const Bytes = v.pipe(v.string(), v.regex(/^([0-9a-f]{2}){1,64}$/));

const Schema = v.strictObject({
  version: v.literal(1),
  /** How the user named the machine. */
  machine: v.string(),
  guest: v.strictObject({
    banner: v.string(),
    textBase: Address,
    directMap: Address,
    init: Address,
  }),
  /** Kernel text that was padding: stubs and the filter table lie there. */
  gap: v.strictObject({ start: Address, size: v.pipe(v.number(), v.integer(), v.minValue(0)) }),
  /** Pages of the guest's allocator; null until the guest has given them. */
  mailbox: v.nullable(
    v.strictObject({ address: Address, order: v.pipe(v.number(), v.integer(), v.minValue(0)) }),
  ),
  /** Kernel text that is changed, or about to be. */
  patches: v.array(v.strictObject({ symbol: v.string(), address: Address, original: Bytes, patched: Bytes })),
});

/** What the engine has changed in a guest's kernel, so that whoever comes after it can put it back. */
export type JournalRecord = v.InferOutput<typeof Schema>;
export type JournalPatch = JournalRecord['patches'][number];

/**
 * The file that says what was changed in one machine. It is safely on disk before a change is made: written beside,
 * synchronised, then renamed into place.
 */
export class Journal {
  readonly path: string;
  readonly #folder: string;

  /** One file a machine, by the machine's name. */
  constructor(folder: string, machine: string) {
    this.#folder = folder;
    this.path = join(folder, `${createHash('sha256').update(machine).digest('hex').slice(0, 16)}.json`);
  }

  /** What was written last; undefined where nothing is to be put back. @throws TargetError for a file that is no journal */
  async read(): Promise<JournalRecord | undefined> {
    const text = await readFile(this.path, 'utf8').catch(absent);
    if (text === undefined) return undefined;
    const result = v.safeParse(Schema, parse(text));
    if (!result.success)
      throw new TargetError(`the journal ${this.path} is not understood: ${result.issues[0].message}`);
    return result.output;
  }

  async write(record: JournalRecord): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const beside = `${this.path}.new`;
    await using file = await open(beside, 'w', 0o600);
    await file.writeFile(`${JSON.stringify(record, null, 2)}\n`);
    await file.sync();
    await rename(beside, this.path);
    await this.#syncFolder();
  }

  /** Everything is put back. */
  async remove(): Promise<void> {
    const text = await readFile(this.path).catch(absent);
    if (text === undefined) return;
    await rm(this.path);
    await this.#syncFolder();
  }

  /** Keeps the file under another name, for a machine that is gone. Gives that name. */
  async setAside(now: Date): Promise<string> {
    const name = `${this.path}.${now.toISOString().replaceAll(':', '')}`;
    await rename(this.path, name);
    return name;
  }

  async #syncFolder(): Promise<void> {
    await using folder = await open(this.#folder, 'r');
    await folder.sync();
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
