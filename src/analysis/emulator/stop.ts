import { hex } from '../../memory/address.ts';

/** Why an emulation ended. Addresses are virtual. */
export type StopReason =
  | { readonly kind: 'budget' }
  | { readonly kind: 'system-call' }
  | { readonly kind: 'ended'; readonly by: string }
  | { readonly kind: 'unsupported'; readonly mnemonic: string }
  | { readonly kind: 'invalid' }
  | { readonly kind: 'privileged'; readonly mnemonic: string }
  | { readonly kind: 'memory'; readonly access: 'read' | 'write' | 'fetch'; readonly address: bigint }
  | { readonly kind: 'memory-limit'; readonly pages: number }
  | { readonly kind: 'divide-error' }
  | { readonly kind: 'interrupt'; readonly vector: number }
  | { readonly kind: 'selector'; readonly selector: number }
  | { readonly kind: 'protection'; readonly what: string };

/** One line for people and for the JSON of `analyze`. */
export function describeStop(stop: StopReason): string {
  switch (stop.kind) {
    case 'budget':
      return 'instruction budget used up';
    case 'system-call':
      return 'system call';
    case 'ended':
      return `ended by ${stop.by}`;
    case 'unsupported':
      return `unsupported: ${stop.mnemonic}`;
    case 'invalid':
      return 'invalid instruction';
    case 'privileged':
      return `privileged: ${stop.mnemonic}`;
    case 'memory':
      return `memory not readable: ${stop.access} at ${hex(stop.address)}`;
    case 'memory-limit':
      return `touched more than ${stop.pages} pages`;
    case 'divide-error':
      return 'divide error';
    case 'interrupt':
      return `interrupt ${hex(stop.vector)}`;
    case 'selector':
      return `bad selector ${hex(stop.selector)}`;
    case 'protection':
      return `general protection: ${stop.what}`;
  }
}

/** Unwinds to the run loop. One a run at most, so that its cost does not matter. */
export class EmulationStop extends Error {
  readonly reason: StopReason;

  constructor(reason: StopReason) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(describeStop(reason));
    Error.stackTraceLimit = limit;
    this.name = 'EmulationStop';
    this.reason = reason;
  }
}
