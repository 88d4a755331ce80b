import { UnderwatchError } from '../src/errors.ts';

/** Something that the lab needs cannot be had, or a guest did not do what it was told; the message is one sentence. */
export class LabError extends UnderwatchError {
  constructor(message: string, options?: ErrorOptions) {
    super('target', message, options);
  }
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
