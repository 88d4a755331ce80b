import type { RuleMatch } from './rules/scanner.ts';
import type { Chain, ChainName } from './system-calls/chains.ts';
import type { Trait, TraitName } from './traits.ts';

export type Verdict = 'benign' | 'suspicious' | 'malicious';

/** What is known of the memory that the code lies in, without looking at the code. */
export interface RegionFacts {
  /** The fetch lies on the thread's stack, or in a mapping that grows down. */
  readonly onStack?: boolean;
  /** RSP lies in no stack of the thread. */
  readonly stackPointerOutside?: boolean;
  /** The page can still be written. */
  readonly writable?: boolean;
  /** The page was written before it became executable. */
  readonly writtenBefore?: boolean;
}

/** Everything that a verdict rests on. */
export interface Evidence {
  readonly traits: readonly Trait[];
  readonly chains: readonly Chain[];
  readonly rules: readonly RuleMatch[];
  readonly region: RegionFacts;
}

/** A verdict, and each thing that led to it as a sentence. */
export interface Reasoned {
  readonly verdict: Verdict;
  readonly reasons: readonly string[];
}

/** Rows of system calls that no code has an honest reason for, where no code should be. */
const HOSTILE_CHAINS: ReadonlySet<ChainName> = new Set([
  'shell',
  'reverse shell',
  'bind shell',
  'staged loader',
  'file-less execution',
  'persistence',
  'privilege change',
  'kernel-module load',
  'process injection',
  'egg hunt',
]);

/** Traits of code that does not know where it lies, or hides what it is. Honest code shows one at times, not several. */
const STRONG_TRAITS: ReadonlySet<TraitName> = new Set([
  'nop-sled',
  'load-rip',
  'write-self',
  'heavens-gate',
  'stack-pivot',
  'decoder-loop',
]);

/** Strong traits that code with honest system calls does not show. */
const TELLING_TRAITS: ReadonlySet<TraitName> = new Set(['nop-sled', 'heavens-gate', 'decoder-loop']);

/** Traits that say little alone. */
const WEAK_TRAITS: ReadonlySet<TraitName> = new Set(['syscall', 'stack-string', 'tainted-return']);

/** Weighs the evidence by rules that can be told, never by a sum. */
export function decide(evidence: Evidence): Reasoned {
  const malicious: string[] = [];
  const suspicious: string[] = [];
  const raise = (to: 'malicious' | 'suspicious', reason: string): void => {
    (to === 'malicious' ? malicious : suspicious).push(reason);
  };
  for (const chain of evidence.chains) {
    raise(HOSTILE_CHAINS.has(chain.name) ? 'malicious' : 'suspicious', `${chain.name}: ${chain.text}`);
  }
  for (const match of evidence.rules) raise(match.verdict, `rule ${match.rule} matches`);
  for (const trait of evidence.traits) raise('suspicious', describeTrait(trait));
  for (const fact of regionReasons(evidence.region)) raise('suspicious', fact);
  const combination = hostileCombination(evidence);
  if (combination !== undefined) raise('malicious', combination);
  const verdict = malicious.length > 0 ? 'malicious' : suspicious.length > 0 ? 'suspicious' : 'benign';
  return { verdict, reasons: [...malicious, ...suspicious] };
}

function describeTrait(trait: Trait): string {
  return `${trait.name}: ${trait.text} (${trait.instruction} at 0x${trait.address.toString(16)})`;
}

function regionReasons(region: RegionFacts): string[] {
  const reasons: string[] = [];
  if (region.onStack === true) reasons.push('the code lies on the stack');
  if (region.stackPointerOutside === true) reasons.push('the stack register lies in no stack of the thread');
  if (region.writable === true) reasons.push('the page can still be written');
  if (region.writtenBefore === true) reasons.push('the page was written before it became executable');
  return reasons;
}

/** Things that are each possible in honest code, but not together. */
function hostileCombination({ traits, chains, region }: Evidence): string | undefined {
  const names = new Set(traits.map(({ name }) => name));
  const strong = [...names].filter((name) => STRONG_TRAITS.has(name));
  const weak = [...names].filter((name) => WEAK_TRAITS.has(name));
  if (region.onStack === true && names.size > 0) return 'code on the stack with traits of shellcode';
  if (region.stackPointerOutside === true && strong.length > 0)
    return 'a pivoted stack, and traits of shellcode';
  if (names.has('decoder-loop') && (names.has('load-rip') || names.has('syscall'))) {
    return 'it decodes itself in a loop and runs what it decoded';
  }
  const telling = strong.filter((name) => TELLING_TRAITS.has(name));
  if (names.has('syscall') && telling.length > 0) {
    return `${telling.join(' and ')} in code that enters the kernel itself`;
  }
  if (strong.length >= 2 && weak.length > 0) return `${strong.join(', ')} and ${weak.join(', ')} together`;
  const runs = chains.some(({ name }) => name === 'execution');
  return runs && names.has('stack-string') ? 'builds the path of a program and runs it' : undefined;
}
