import { StubAssembler } from '../stub-assembler.ts';
import type { StubEnvironment } from './environment.ts';
import { emitLeafRoutines } from './leaf-entry.ts';
import { emitRequest } from './request.ts';

/** The routines that all stubs of a guest share: labels `request`, `releaseLeaf` and `exchangeLeaf`. */
export function sharedRoutines(environment: StubEnvironment): StubAssembler {
  const a = new StubAssembler();
  emitRequest(a, environment);
  emitLeafRoutines(a, environment);
  return a;
}
