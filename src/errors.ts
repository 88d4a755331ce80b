/**
 * What went wrong, in a word that programs can act on. The command line turns each into an exit status.
 *
 * - `usage`: the user's input is wrong (exit status 2)
 * - `target`: the target cannot be understood: not a Linux kernel, no BTF, not an image (3)
 * - `lost`: the target went away while it was being used (4)
 * - `unreadable`: guest memory at an address is absent or not mapped
 * - `malformed`: a structure read from the guest contradicts itself
 * - `limit`: a walk reached its stated bound
 */
export type ErrorCode = 'usage' | 'target' | 'lost' | 'unreadable' | 'malformed' | 'limit';

/** The base of every error that Underwatch throws on purpose; its message is one clear sentence. */
export class UnderwatchError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The user asked for something that cannot be done as written. */
export class UsageError extends UnderwatchError {
  constructor(message: string, options?: ErrorOptions) {
    super('usage', message, options);
  }
}

/** The target is not what it should be, or lacks what the work needs; the message says what. */
export class TargetError extends UnderwatchError {
  constructor(message: string, options?: ErrorOptions) {
    super('target', message, options);
  }
}

/** The target went away in the middle of the work. */
export class TargetLostError extends UnderwatchError {
  constructor(message: string, options?: ErrorOptions) {
    super('lost', message, options);
  }
}

/** What `read` gives, or undefined where it fails on purpose (an UnderwatchError); other errors are thrown on. */
export function readable<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof UnderwatchError) return undefined;
    throw error;
  }
}
