import { type Alert, type EventBody, event, type GuardEvent } from '../../src/alerts/event.ts';

const PROCESS = {
  pid: 78,
  tgid: 77,
  comm: 'victim',
  path: '/bin/victim',
  uid: 1000,
  euid: 1000,
  gid: 1000,
  egid: 1000,
  parents: [{ pid: 1, comm: 'init' }],
};

const ALERT: Omit<Alert, 'version' | 'time'> = {
  type: 'alert',
  process: PROCESS,
  address: '0x7f0000001000',
  vma: { start: '0x7f0000001000', end: '0x7f0000002000', perms: 'rwxp', kind: 'anonymous' },
  registers: { rip: '0x7f0000001000', rsp: '0x7ffc00000000' },
  code: {
    address: '0x7f0000001000',
    bytes: '0f05',
    instructions: [{ address: '0x7f0000001000', bytes: '0f05', text: 'syscall' }],
  },
  analysis: {
    verdict: 'malicious',
    reasons: ['shell: runs /bin/sh', 'the page can still be written'],
    mode: 64,
    instructions: 9,
    stop: 'ended by execve',
    traits: [
      {
        name: 'syscall',
        address: '0x7f0000001000',
        instruction: 'syscall',
        bytes: '0f05',
        text: 'enters the kernel by syscall',
      },
    ],
    syscalls: [
      {
        name: 'execve',
        abi: 'x64',
        number: 59,
        address: '0x7f0000001000',
        arguments: { path: '"/bin/sh"', argv: 'NULL', envp: 'NULL' },
        result: null,
        text: 'execve("/bin/sh", NULL, NULL)',
      },
    ],
    chains: [{ name: 'shell', text: 'runs /bin/sh' }],
    strings: ['/bin/sh'],
    rules: [],
    milliseconds: 0.08,
  },
  findings: [
    { check: 'writable', detail: 'the page can still be written', certain: true },
    { check: 'pivot', detail: 'no known stack holds the stack pointer', certain: false },
  ],
  policy: 'block',
  action: 'killed',
  durationMs: 0.41,
};

const COUNTERS = {
  traps: 9,
  protected: 1,
  armed: 1,
  examined: 1,
  allowed: 0,
  alerts: 1,
  repeated: 0,
  killed: 1,
  denied: 0,
  problems: 0,
};

/** One event of each type. */
export const SAMPLES: readonly EventBody[] = [
  {
    type: 'guard.started',
    machine: 'qemu:/run/vm/qmp.sock',
    hypervisor: 'QEMU 7.2.22 (TCG)',
    kernel: '6.1.0-56-cloud-amd64',
    transport: 'breakpoint',
    hooks: [{ symbol: 'vma_set_page_prot', address: '0xffffffff81234560' }],
    adopted: 2,
    stoppedMs: 31.5,
  },
  { type: 'process.protected', process: PROCESS, how: 'exec', action: 'block' },
  { type: 'process.released', tgid: 77, comm: 'victim', examined: 3 },
  ALERT,
  { type: 'problem', where: 'reading code', message: 'no memory', address: '0x7f0000001000' },
  {
    type: 'guard.stopped',
    reason: 'asked',
    counters: COUNTERS,
    restored: { vmas: 1, pages: 2, complete: true },
  },
];

/** The samples, dated. */
export const EVENTS: readonly GuardEvent[] = SAMPLES.map((body) => event(body, new Date(0)));
