import { SS, USER_CS, USER_DS, USER32_CS } from './registers.ts';
import { EmulationStop } from './stop.ts';

/** Linux's segment that holds the CPU's number (arch/x86/include/asm/segment.h: __CPUNODE_SEG). */
const CPUNODE = 0x7b;

const READABLE: ReadonlySet<number> = new Set([USER_DS, USER32_CS, USER_CS, CPUNODE]);

/** What Linux's descriptor table lets user mode load: its own segments, or null for all but SS. */
export function checkDataSelector(segment: number, selector: number): void {
  const isNull = selector <= 3;
  const isFine = segment === SS ? selector === USER_DS : isNull || READABLE.has(selector | 3);
  if (!isFine) throw new EmulationStop({ kind: 'selector', selector });
}
