/** What the kernel, or the C library for the agent, prints when something went wrong. */
const PROBLEMS: readonly RegExp[] = [
  /\bOops\b/,
  /\bBUG\b/,
  /\bWARNING:/,
  /Call Trace:/,
  /Kernel panic/,
  /Attempted to kill/,
  /\bBad page\b|bad page state|Bad rss-counter|bad pmd|bad pte|Bad pagetable/i,
  /general protection fault/,
  /double fault|stack segment fault|invalid opcode: 0000/i,
  /unable to handle|unable to mount root/i,
  /soft lockup|hard LOCKUP|hung_task|blocked for more than/,
  /rcu.*(stall|detected expedited)/i,
  /Out of memory|invoked oom-killer/,
  /\b(init|agent)\[1\].*(segfault|trap|error)/,
  /non-canonical address|kernel NULL pointer|scheduling while atomic|corrupted/i,
  /page_table_check|usercopy: Kernel memory|refcount_t:/,
  /\bUBSAN\b|\bKASAN\b|\bKFENCE: (?!initialized)/,
];

/** The lines of a guest's log that show that the kernel, or the guest's first process, was harmed. */
export function findLogProblems(log: string): string[] {
  return log.split(/\r?\n/).filter((line) => PROBLEMS.some((problem) => problem.test(line)));
}
