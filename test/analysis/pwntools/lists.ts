import type { ChainName } from '../../../src/analysis/system-calls/chains.ts';

/** Templates that do one of the named chains, and what must stand in the system calls; alike on both architectures. */
export const CHAINS: Readonly<Record<string, readonly [ChainName, string]>> = {
  bindsh: ['bind shell', 'bind(3, 0.0.0.0:4444, 16)'],
  connectstager: ['staged loader', 'connect(3, 127.0.0.1:4444, 16)'],
  dupsh: ['shell', 'execve("/bin///sh", ["sh"], NULL)'],
  egghunter: ['egg hunt', 'access('],
  findpeersh: ['shell', 'getpeername(0, '],
  findpeerstager: ['staged loader', 'PROT_READ|PROT_WRITE|PROT_EXEC'],
  setregid: ['privilege change', 'setregid(0, 0)'],
  setreuid: ['privilege change', 'setreuid(0, 0)'],
  sh: ['shell', 'execve("/bin///sh", ["sh"], NULL)'],
  stage: ['staged loader', 'read(0, '],
  stager: ['staged loader', 'PROT_READ|PROT_WRITE|PROT_EXEC'],
};

/** Generated templates of single system calls that are a chain by themselves. */
export const CHAIN_CALLS: Readonly<Record<string, ChainName>> = {
  capset: 'privilege change',
  chroot: 'privilege change',
  create_module: 'kernel-module load',
  finit_module: 'kernel-module load',
  init_module: 'kernel-module load',
  kexec_file_load: 'kernel-module load',
  kexec_load: 'kernel-module load',
  pivot_root: 'privilege change',
  process_vm_writev: 'process injection',
  setfsgid: 'privilege change',
  setfsgid32: 'privilege change',
  setfsuid: 'privilege change',
  setfsuid32: 'privilege change',
  setgid: 'privilege change',
  setgid32: 'privilege change',
  setns: 'privilege change',
  setregid: 'privilege change',
  setregid32: 'privilege change',
  setresgid: 'privilege change',
  setresgid32: 'privilege change',
  setresuid: 'privilege change',
  setresuid32: 'privilege change',
  setreuid: 'privilege change',
  setreuid32: 'privilege change',
  setuid: 'privilege change',
  setuid32: 'privilege change',
  sys_kexec_load: 'kernel-module load',
  unshare: 'privilege change',
};

/** Generated templates whose call the kernel has under another name. */
export const OTHER_NAMES: Readonly<Record<string, string>> = {
  break_: 'break',
  ia32_arch_prctl: 'arch_prctl',
  ia32_io_pgetevents: 'io_pgetevents',
  ia32_rseq: 'rseq',
  ia32_statx: 'statx',
  madvise1: 'madvise',
  pread: 'pread64',
  pwrite: 'pwrite64',
  sigqueueinfo: 'rt_sigqueueinfo',
  sigreturn: 'rt_sigreturn',
  sigtimedwait: 'rt_sigtimedwait',
  sigtimedwait_time64: 'rt_sigtimedwait_time64',
  sys_kexec_load: 'kexec_load',
  tgsigqueueinfo: 'rt_tgsigqueueinfo',
  timerfd: 'timerfd_create',
};

/** On i386 these use the number of the sub-call as that of a system call, a defect of pwntools: what they really call. */
export const MISNUMBERED: Readonly<Record<string, string>> = {
  socketcall_accept: 'open',
  socketcall_bind: 'fork',
  socketcall_connect: 'read',
  socketcall_getpeername: 'waitpid',
  socketcall_getsockname: 'close',
  socketcall_getsockopt: 'chmod',
  socketcall_listen: 'write',
  socketcall_recv: 'unlink',
  socketcall_recvfrom: 'chdir',
  socketcall_recvmsg: 'break',
  socketcall_send: 'link',
  socketcall_sendmsg: 'lchown',
  socketcall_sendto: 'execve',
  socketcall_setsockopt: 'mknod',
  socketcall_shutdown: 'time',
  socketcall_socket: 'exit',
  socketcall_socketpair: 'creat',
};

/** Calls whose i386 form differs: mmap is mmap2, and sigreturn is a call of its own. */
export const OTHER_NAMES_32: Readonly<Record<string, string>> = { mmap: 'mmap2', sigreturn: 'sigreturn' };

/** Templates that Debian's pwntools cannot render with Python 3, whatever the arguments. */
export const BROKEN: Readonly<Record<'amd64' | 'i386', readonly string[]>> = {
  amd64: [],
  i386: ['connectstager', 'findpeerstager'],
};
