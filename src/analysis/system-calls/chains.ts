import { argument, type SystemCall, textOf } from './call.ts';
import type { Descriptor } from './descriptors.ts';
import type { KernelModel } from './kernel.ts';

/** What a row of system calls amounts to. */
export type ChainName =
  | 'shell'
  | 'execution'
  | 'reverse shell'
  | 'bind shell'
  | 'staged loader'
  | 'file-less execution'
  | 'persistence'
  | 'privilege change'
  | 'kernel-module load'
  | 'process injection'
  | 'egg hunt';

export interface Chain {
  readonly name: ChainName;
  /** One sentence that says what was seen. */
  readonly text: string;
}

const SHELL = /(?:^|\/)(?:[abckz]?sh|bash|dash|mksh|fish|busybox|tcsh)$/;
const DESCRIPTOR_PATH = /^\/(?:proc\/(?:self|thread-self|\d+)\/fd|dev\/fd)\/(\d+)/;
const AT_EMPTY_PATH = 0x1000n;

/** Files by which code comes back after a restart or a login, or gives itself an account. */
const PERSISTENT =
  /^\/etc\/(?:passwd|shadow|group|sudoers|crontab|cron|ld\.so\.preload|ld\.so\.conf|profile|rc|init|systemd|pam|ssh|bash|environment|inittab|modules|udev)|authorized_keys|^\/var\/spool\/cron|\.(?:bashrc|profile|bash_profile|zshrc)$|^\/(?:usr\/)?lib\/systemd/;

const SETS_ID = /^(?:setuid|setgid|setreuid|setregid|setresuid|setresgid|setfsuid|setfsgid)(?:32)?$/;
const SETS_GROUPS = /^setgroups(?:32)?$/;
const PRIVILEGE = /^(?:capset|unshare|setns|chroot|pivot_root)$/;

const INJECTING_REQUESTS = new Set([4n, 5n, 6n, 13n, 16n, 0x4206n]);

/** Names the chains in what a run asked of the kernel; `ranReceived` says that it ran bytes that a read brought in. */
export function findChains(kernel: KernelModel, ranReceived: boolean): Chain[] {
  const { calls } = kernel;
  const chains: Chain[] = [];
  const executed = calls.findLast(({ name, result }) => /^execve(?:at)?$/.test(name) && result === undefined);
  if (executed !== undefined) chains.push(...executionChains(executed, kernel));
  if (ranReceived) chains.push(stagedLoader(calls));
  chains.push(...persistence(kernel), ...privileges(calls), ...modules(calls), ...injection(calls));
  const hunt = eggHunt(calls);
  if (hunt !== undefined) chains.push(hunt);
  return chains;
}

function executionChains(call: SystemCall, kernel: KernelModel): Chain[] {
  const path = plainPath(textOf(call, 'path')) ?? '';
  const memory = memfdOf(call, path, kernel);
  if (memory !== undefined) {
    return [{ name: 'file-less execution', text: `runs the memory file "${memory.path ?? ''}"` }];
  }
  const argv = argument(call, 'argv')?.strings ?? [];
  const words = argv.length > 1 ? ` with ${JSON.stringify(argv.slice(1))}` : '';
  if (!SHELL.test(path)) return [{ name: 'execution', text: `runs ${path}${words}` }];
  const chains: Chain[] = [{ name: 'shell', text: `runs ${path}${words}` }];
  const remote = remoteControl(kernel);
  if (remote !== undefined) chains.unshift(remote);
  return chains;
}

/** A memfd that is run by its descriptor, or by its path below /proc. */
function memfdOf(call: SystemCall, path: string, kernel: KernelModel): Descriptor | undefined {
  const byPath = DESCRIPTOR_PATH.exec(path)?.[1];
  const flags = argument(call, 'flags')?.value ?? 0n;
  const byNumber =
    path === '' && (flags & AT_EMPTY_PATH) !== 0n ? argument(call, 'directory')?.value : undefined;
  const fd = byPath ?? byNumber;
  if (fd === undefined) return undefined;
  const descriptor = kernel.process.descriptors.get(Number(BigInt.asIntN(32, BigInt(fd))));
  return descriptor?.kind === 'memfd' ? descriptor : undefined;
}

/** A socket in place of standard input or output (or pipes beside one) when a shell starts. */
function remoteControl(kernel: KernelModel): Chain | undefined {
  const standard = [0, 1, 2].map((fd) => kernel.process.descriptors.get(fd));
  const socket = standard.find((descriptor) => descriptor?.kind === 'socket');
  if (socket === undefined) return undefined;
  const where = socket.address?.text ?? 'a peer';
  if (socket.role === 'connected')
    return { name: 'reverse shell', text: `a shell on a connection to ${where}` };
  if (socket.role === 'accepted') return { name: 'bind shell', text: `a shell for who connects to ${where}` };
  return { name: 'reverse shell', text: 'a shell on a socket that was open before' };
}

const RECEIVING = /^(?:read|readv|pread64|recv|recvfrom|recvmsg)$/;

function stagedLoader(calls: readonly SystemCall[]): Chain {
  const reading = calls.findLast(({ name }) => RECEIVING.test(name));
  const fd = reading?.arguments[0]?.text ?? '?';
  return {
    name: 'staged loader',
    text: `runs what ${reading?.name ?? 'read'} brought in from descriptor ${fd}`,
  };
}

/** Writing, replacing or linking a file that outlives the process. */
function persistence({ calls }: KernelModel): Chain[] {
  const chains: Chain[] = [];
  for (const call of calls) {
    const path = plainPath(textOf(call, /^(?:rename|link)/.test(call.name) ? 'to' : 'path'));
    if (path === undefined || !PERSISTENT.test(path) || !changesFile(call)) continue;
    chains.push({ name: 'persistence', text: `${call.name} of ${path} for writing` });
  }
  return chains.slice(0, 1);
}

/** A path without the doubled slashes and dots that code puts in to fill a word. */
function plainPath(path: string | undefined): string | undefined {
  return path?.replaceAll(/\/(?:\.?\/)+/g, '/');
}

function changesFile(call: SystemCall): boolean {
  if (/^(?:creat|chmod|fchmodat|rename|renameat|renameat2|link|linkat|symlink|symlinkat)$/.test(call.name))
    return true;
  return /^open/.test(call.name) && ((argument(call, 'flags')?.value ?? 0n) & 3n) !== 0n;
}

function privileges(calls: readonly SystemCall[]): Chain[] {
  const call = calls.find(
    (candidate) => PRIVILEGE.test(candidate.name) || takesId(candidate) || setsBit(candidate),
  );
  if (call === undefined) return [];
  const words = call.arguments.map(({ text }) => text).join(', ');
  return [{ name: 'privilege change', text: `${call.name}(${words})` }];
}

/** Becomes root, or a member of other groups; who takes another id gives root up, and who empties the list, too. */
function takesId(call: SystemCall): boolean {
  if (SETS_GROUPS.test(call.name)) return call.arguments[0]?.value !== 0n;
  return SETS_ID.test(call.name) && call.arguments.some(({ value }) => BigInt.asUintN(32, value) === 0n);
}

/** A set-user-ID or set-group-ID bit given to a file. */
function setsBit(call: SystemCall): boolean {
  return /^f?chmod(?:at)?$/.test(call.name) && ((argument(call, 'mode')?.value ?? 0n) & 0o6000n) !== 0n;
}

function modules(calls: readonly SystemCall[]): Chain[] {
  const call = calls.find(({ name }) =>
    /^(?:f?init_module|kexec_load|kexec_file_load|create_module)$/.test(name),
  );
  return call === undefined
    ? []
    : [{ name: 'kernel-module load', text: `loads a kernel module by ${call.name}` }];
}

function injection(calls: readonly SystemCall[]): Chain[] {
  const call = calls.find(
    (candidate) =>
      candidate.name === 'process_vm_writev' ||
      (candidate.name === 'ptrace' && INJECTING_REQUESTS.has(argument(candidate, 'request')?.value ?? 0n)) ||
      (/^open/.test(candidate.name) &&
        /^\/proc\/(?:\d+|self)\/mem$/.test(plainPath(textOf(candidate, 'path')) ?? '')),
  );
  if (call === undefined) return [];
  const words = call.arguments.map(({ text }) => text).join(', ');
  return [{ name: 'process injection', text: `${call.name}(${words})` }];
}

/** Calls by which memory can be probed without a fault, and which argument points there. */
const PROBES: Readonly<Record<string, number>> = {
  access: 0,
  faccessat: 1,
  chdir: 0,
  stat: 0,
  lstat: 0,
  link: 0,
  mkdir: 0,
  rmdir: 0,
  open: 0,
  readlink: 0,
  sigaction: 1,
  rt_sigaction: 1,
  rt_sigprocmask: 1,
  mincore: 0,
  write: 1,
  nanosleep: 0,
  time: 0,
  alarm: 0,
};
const HUNT_CALLS = 4;
const FARTHEST_STEP = 0x2000n;

/** The same probing call again and again, each a little further on. */
function eggHunt(calls: readonly SystemCall[]): Chain | undefined {
  let length = 1;
  for (let i = 1; i < calls.length; i++) {
    const [before, here] = [calls[i - 1], calls[i]];
    if (before === undefined || here === undefined) break;
    const index = PROBES[here.name];
    const a = before.arguments[index ?? 0]?.value;
    const b = here.arguments[index ?? 0]?.value;
    const steps = a !== undefined && b !== undefined && b > a && b - a <= FARTHEST_STEP;
    length = index !== undefined && before.name === here.name && steps ? length + 1 : 1;
    if (length >= HUNT_CALLS) {
      return { name: 'egg hunt', text: `probes memory page after page with ${here.name}` };
    }
  }
  return undefined;
}
