import { Emulator } from './emulator/emulator.ts';
import { describeStop, type StopReason } from './emulator/stop.ts';
import { rawCodeInput } from './raw-code.ts';
import type { RuleMatch, RuleScanner } from './rules/scanner.ts';
import { Session, type SessionInput } from './session.ts';
import { type Payload, payloadAt, writtenStrings } from './strings.ts';
import type { SystemCall } from './system-calls/call.ts';
import type { Chain } from './system-calls/chains.ts';
import type { Trait } from './traits.ts';
import { decide, type RegionFacts, type Verdict } from './verdict.ts';

/** What is judged: code in memory, with the registers that it would run with. */
export interface JudgeInput extends SessionInput {
  readonly region?: RegionFacts;
  /** Matched on the code's page, its neighbours and the payload. */
  readonly rules?: RuleScanner;
  /** What a scanner outside this program has found already: the answer of `scanWithin`. */
  readonly matches?: readonly RuleMatch[];
}

/** What the code would do, and what to think of it. */
export interface Judgement {
  readonly verdict: Verdict;
  /** Why, as sentences; the strongest first. */
  readonly reasons: readonly string[];
  readonly mode: 32 | 64;
  /** Instructions that were executed. */
  readonly instructions: number;
  readonly stop: StopReason;
  /** The stop as one line. */
  readonly stopText: string;
  readonly traits: readonly Trait[];
  readonly systemCalls: readonly SystemCall[];
  readonly chains: readonly Chain[];
  readonly strings: readonly string[];
  readonly payload: Payload | undefined;
  readonly rules: readonly RuleMatch[];
  /** Time that the CPU spent on it, in milliseconds. */
  readonly milliseconds: number;
}

/** Above this many instructions a judgement has to be made in slices. */
export const INLINE_BUDGET = 256;
/** What is run when nobody says how much. */
export const DEFAULT_BUDGET = 100_000;

/** How much runs between two looks at the clock: each may be a system call that moves 64 KiB. */
const SLICE_INSTRUCTIONS = 250;
const SLICE_MS = 2;
/** These are run however late it is: a busy host must not make the judge blind. */
const LEAST_INSTRUCTIONS = 1000;
const PAGE = 0x1000n;
const WARM_UP_ROUNDS = 40;
/** In either mode: a decoder loop over what follows it, a string on the stack, and a system call. */
const WARM_UP_CODE = Buffer.from(
  'e800000000 5e 83c613 b910000000 803600 ffc6 ffc9 75f7 6a00 682f2f7368 682f62696e 54 5b 31c9 99 6a0b 58 cd80'.replaceAll(
    ' ',
    '',
  ),
  'hex',
);
/** 64-bit code that connects to 127.0.0.1:4444, puts the socket in place of the standard descriptors and runs a shell. */
const WARM_UP_CALLS = Buffer.from(
  '6a29586a025f6a015e990f05 97 48b90200115c7f000001 51 4889e6 6a105a 6a2a58 0f05 6a035e ffce 6a2158 0f05 75f7 99 52 48b82f62696e2f2f7368 50 4889e7 52 57 4889e6 6a3b58 0f05'.replaceAll(
    ' ',
    '',
  ),
  'hex',
);
/** push rax; mov [rsp+8], ecx; inc ecx; pop rax; jmp back */
const WARM_UP_LOOP = Buffer.from('50894c2408ffc158ebf6', 'hex');

/**
 * Judges code from a live trap, an image, a recording or a file: the same functions, the same answer. It does what
 * HVMI's `shellcode.h` is for, without its limits (256 instructions, an empty stack, the first system call). Emulators
 * are made when needed and kept, so that the common case allocates next to nothing.
 */
export class Judge implements Disposable {
  readonly #idle: Emulator[] = [];

  [Symbol.dispose](): void {
    for (const emulator of this.#idle) emulator[Symbol.dispose]();
    this.#idle.length = 0;
  }

  /**
   * Judges a few lines of code, so that the first real judgement finds everything loaded and compiled: a tenth of a
   * second, to be spent when nobody waits.
   */
  warmUp(): void {
    // First, or the engine would make the code fit to the loop alone, and throw it away for the next sample.
    this.judge({ ...rawCodeInput(WARM_UP_LOOP, 64), budget: DEFAULT_BUDGET });
    for (let round = 0; round < WARM_UP_ROUNDS; round++) {
      for (const bits of [64, 32] as const) {
        this.judge({ ...rawCodeInput(WARM_UP_CODE, bits), budget: INLINE_BUDGET });
      }
      this.judge({ ...rawCodeInput(WARM_UP_CALLS, 64), budget: INLINE_BUDGET });
    }
  }

  /** Judges at once. Callers that must not hold the event loop keep to {@link INLINE_BUDGET} instructions. */
  judge(input: JudgeInput): Judgement {
    const emulator = this.#idle.pop() ?? new Emulator();
    try {
      const started = performance.now();
      const session = new Session(emulator, input);
      session.step(input.budget);
      return conclude(session, input, () => performance.now() - started);
    } finally {
      this.#idle.push(emulator);
    }
  }

  /**
   * Judges at once, and ends with the budget or the time, whichever comes first. For callers that cannot wait for
   * an answer: a trap's handler, while the guest stands still.
   */
  judgeWithin(input: JudgeInput, milliseconds: number): Judgement {
    const emulator = this.#idle.pop() ?? new Emulator();
    try {
      const started = performance.now();
      const session = new Session(emulator, input);
      let hasEnded = session.step(LEAST_INSTRUCTIONS);
      while (!hasEnded && performance.now() - started < milliseconds)
        hasEnded = session.step(SLICE_INSTRUCTIONS);
      return conclude(session, input, () => performance.now() - started);
    } finally {
      this.#idle.push(emulator);
    }
  }

  /** Judges in slices, between which the event loop runs; none holds it longer than 5 ms. */
  async judgeInSlices(input: JudgeInput): Promise<Judgement> {
    const emulator = this.#idle.pop() ?? new Emulator();
    try {
      let spent = 0;
      let started = performance.now();
      const session = new Session(emulator, input);
      while (!session.step(SLICE_INSTRUCTIONS)) {
        if (performance.now() - started < SLICE_MS) continue;
        spent += performance.now() - started;
        await new Promise((resolve) => setImmediate(resolve));
        started = performance.now();
      }
      return conclude(session, input, () => spent + performance.now() - started);
    } finally {
      this.#idle.push(emulator);
    }
  }
}

function conclude(session: Session, input: JudgeInput, elapsed: () => number): Judgement {
  const { observer, kernel, memory } = session;
  const stop = session.stop ?? { kind: 'budget' };
  const traits = observer.traits.all;
  const chains = session.chains();
  const payload = observer.decodedAt && payloadAt(memory, observer.decodedAt.high, observer.decodedAt.low);
  const scanned = input.rules === undefined ? [] : scan(input.rules, input, payload);
  const rules = [...(input.matches ?? []), ...scanned];
  const { verdict, reasons } = decide({ traits, chains, rules, region: input.region ?? {} });
  return {
    verdict,
    reasons,
    mode: input.bits,
    instructions: session.instructions,
    stop,
    stopText: describeStop(stop),
    traits,
    systemCalls: kernel.calls,
    chains,
    strings: writtenStrings(memory),
    payload,
    rules,
    milliseconds: elapsed(),
  };
}

/** Matches the rules on the page of RIP as it was, its neighbours, and the payload; a rule counts once. */
function scan(rules: RuleScanner, input: JudgeInput, payload: Payload | undefined): readonly RuleMatch[] {
  const found = new Map<string, RuleMatch>();
  const note = (bytes: Uint8Array): void => {
    for (const match of rules.scan(bytes)) if (!found.has(match.rule)) found.set(match.rule, match);
  };
  const page = input.registers.get('rip') & ~(PAGE - 1n);
  for (const address of [page, page - PAGE, page + PAGE]) {
    const bytes = input.snapshot.readPage(
      Number((address >> 32n) & 0xffff_ffffn),
      Number(address & 0xffff_ffffn),
    );
    if (bytes !== undefined) note(bytes);
  }
  if (payload !== undefined) note(payload.bytes);
  return [...found.values()];
}
