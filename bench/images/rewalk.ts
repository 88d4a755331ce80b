import { forEachVma, openTarget, processesOf } from '../../src/index.ts';

const REPETITIONS = 101;

/** Milliseconds of each walk over every VMA of every process of an image, in one process and one after another. */
export async function rewalkTimes(image: string): Promise<number[]> {
  await using target = await openTarget(image);
  const processes = processesOf(target);
  const times: number[] = [];
  for (let repetition = 0; repetition < REPETITIONS; repetition++) {
    let pages = 0;
    const start = performance.now();
    for (const process of processes) {
      forEachVma(target, process, (vma) => {
        pages += vma.endPage - vma.startPage;
      });
    }
    times.push(performance.now() - start);
    if (pages === 0) throw new Error('no VMA was found');
  }
  return times;
}
