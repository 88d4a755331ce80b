import type { Finding } from '../alerts/event.ts';
import { hex } from '../memory/address.ts';
import { type ExecutionEvidence, inRange } from './evidence.ts';
import type { CheckName } from './policy.ts';

type CheckResult = Omit<Finding, 'check'> | undefined;

/**
 * The checks of the reference page's `IntLixVmaHandlePageExecution`, but for the last branch, which no
 * hypervisor in use reports, and the code itself, which `analysis/` judges. The original announces four of
 * these and makes one.
 */
export const EXECUTION_CHECKS: readonly (readonly [
  CheckName,
  (evidence: ExecutionEvidence) => CheckResult,
])[] = [
  ['pivot', checkPivot],
  ['stack', checkStack],
  ['writable', checkWritable],
  ['written', checkWritten],
];

/** The stack pointer must be on a stack of this thread; that of an empty one points right behind it. */
function checkPivot({ stackPointer, stacks }: ExecutionEvidence): CheckResult {
  const known = [stacks.main, stacks.own, stacks.alternate];
  if (known.some((stack) => inRange(stack, stackPointer - 1n))) return undefined;
  if (known.every((stack) => stack === undefined)) return undefined;
  const detail = `the stack pointer ${hex(stackPointer)} is outside every stack of the thread`;
  return { detail: stacks.uncertain ? `${detail} that is known` : detail, certain: !stacks.uncertain };
}

/** Nothing on a stack is code. */
function checkStack({ address, vma, stacks, stackPointer }: ExecutionEvidence): CheckResult {
  const onStack =
    vma.kind === 'stack' ||
    inRange(stacks.own, address) ||
    inRange(stacks.alternate, address) ||
    inRange(vma, stackPointer);
  return onStack ? { detail: 'the instruction was fetched from a stack', certain: true } : undefined;
}

function checkWritable({ vma, page }: ExecutionEvidence): CheckResult {
  if (!vma.writable && !page.writable) return undefined;
  return { detail: 'the page can still be written', certain: true };
}

function checkWritten({ vma, page }: ExecutionEvidence): CheckResult {
  if (vma.writable || !page.written) return undefined;
  const how = vma.wasWritable ? 'while it was writable and executable' : 'before it became executable';
  return { detail: `the page was written ${how}`, certain: true };
}
