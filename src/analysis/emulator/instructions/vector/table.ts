import type { InstructionGroup } from '../group.ts';
import { VECTOR_EXTEND } from './extend.ts';
import { VECTOR_INTEGER, VECTOR_LOGIC } from './integer.ts';
import { VECTOR_MOVE } from './move.ts';
import { VECTOR_SHIFT } from './shift.ts';
import { VECTOR_SHUFFLE } from './shuffle.ts';

/** Instructions on MMX, XMM and YMM registers. */
export const VECTOR_GROUPS: readonly InstructionGroup[] = [
  VECTOR_MOVE,
  VECTOR_LOGIC,
  VECTOR_INTEGER,
  VECTOR_SHIFT,
  VECTOR_SHUFFLE,
  VECTOR_EXTEND,
];
