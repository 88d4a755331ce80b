import { type ErrorCode, UnderwatchError } from '../errors.ts';

/** What `underwatch` exits with; scripts rely on these. */
export const EXIT = {
  clean: 0,
  detections: 1,
  usage: 2,
  notUnderstood: 3,
  lost: 4,
  hungUp: 129,
  interrupted: 130,
  terminated: 143,
} as const;

const BY_CODE: Record<ErrorCode, number> = {
  usage: EXIT.usage,
  target: EXIT.notUnderstood,
  unreadable: EXIT.notUnderstood,
  malformed: EXIT.notUnderstood,
  limit: EXIT.notUnderstood,
  lost: EXIT.lost,
};

/** The exit status that an error stands for; an error that nobody foresaw counts as a target not understood. */
export function exitStatus(error: unknown): number {
  return error instanceof UnderwatchError ? BY_CODE[error.code] : EXIT.notUnderstood;
}
