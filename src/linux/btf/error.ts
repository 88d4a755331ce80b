import { UnderwatchError } from '../../errors.ts';

/** BTF type information contradicts itself or is of a kind that is not known. */
export class BtfError extends UnderwatchError {
  constructor(message: string) {
    super('malformed', `BTF: ${message}`);
  }
}
