/** What a rule says of bytes that it matches. */
export type RuleVerdict = 'malicious' | 'suspicious';

/** A rule that matched. */
export interface RuleMatch {
  /** Name of the rule, or the detection's name as an external scanner gives it. */
  readonly rule: string;
  readonly tags: readonly string[];
  readonly verdict: RuleVerdict;
  /** Offset of the first match in the scanned bytes; undefined when the scanner does not say. */
  readonly offset: number | undefined;
}

/** Looks at bytes and answers at once: a page takes it microseconds. */
export interface RuleScanner {
  scan(bytes: Uint8Array): readonly RuleMatch[];
}

/** What an external scanner is given: what HVMI's `scan_engines.h` hands to its integrator. */
export interface ScanRequest {
  readonly mode: 32 | 64;
  /** The page of the instruction pointer, and its virtual address. */
  readonly page: Uint8Array;
  readonly address: bigint;
  /** RIP and RSP, and the stack's bounds, end exclusive. */
  readonly instructionPointer: bigint;
  readonly stackPointer: bigint;
  readonly stack: { readonly start: bigint; readonly end: bigint };
}

/**
 * A scanner outside this program, for example an antivirus engine. It may take its time: a result within the
 * limit counts in the verdict, a later one is handed to `late` of {@link scanWithin} and becomes an alert of its own.
 */
export interface ExternalScanner {
  readonly name: string;
  scan(request: ScanRequest): Promise<readonly RuleMatch[]>;
}

/**
 * Asks an external scanner, waiting at most `milliseconds`.
 *
 * @returns its matches; nothing when it failed or was too slow
 */
export async function scanWithin(
  scanner: ExternalScanner,
  request: ScanRequest,
  milliseconds: number,
  late: (matches: readonly RuleMatch[]) => void,
): Promise<readonly RuleMatch[]> {
  let isLate = false;
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<readonly RuleMatch[]>((resolve) => {
    timer = setTimeout(() => {
      isLate = true;
      resolve([]);
    }, milliseconds);
  });
  const answer = scanner
    .scan(request)
    .catch((): readonly RuleMatch[] => [])
    .then((matches) => {
      if (isLate && matches.length > 0) late(matches);
      return matches;
    });
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
