import { UnderwatchError } from '../../../errors.ts';

/** Compressed bytes that contradict themselves or the size that was stated for them. */
export class DecompressionError extends UnderwatchError {
  constructor(message: string, options?: ErrorOptions) {
    super('malformed', message, options);
  }
}

/** Copies `length` bytes within `output` from `distance` before `at`; source and target may overlap, as in run-length coding. */
export function copyMatch(output: Uint8Array, at: number, distance: number, length: number): void {
  if (distance > at) throw new DecompressionError('a match reaches back beyond the start of the data');
  if (length > output.length - at) throw new DecompressionError('the data is longer than was stated');
  if (distance >= length) {
    output.copyWithin(at, at - distance, at - distance + length);
    return;
  }
  for (let index = at; index < at + length; index++) output[index] = output[index - distance] ?? 0;
}

/** Copies `length` literal bytes; throws when either side has fewer. */
export function copyLiterals(
  input: Uint8Array,
  from: number,
  output: Uint8Array,
  at: number,
  length: number,
): void {
  if (length > input.length - from) throw new DecompressionError('the compressed data ends early');
  if (length > output.length - at) throw new DecompressionError('the data is longer than was stated');
  if (length > 32) output.set(input.subarray(from, from + length), at);
  else for (let index = 0; index < length; index++) output[at + index] = input[from + index] ?? 0;
}
