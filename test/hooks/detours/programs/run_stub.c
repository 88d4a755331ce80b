/*
 * Runs a kernel function with a detour in user mode: argument 1 is a file that stands for RAM, mapped at argument 2;
 * argument 3 a file with code, mapped at argument 4; argument 5 the GS base; argument 6 the function, called with
 * arguments 7 to 12. Prints what it returned, and whether it kept the registers that a function must keep.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { CLI = 0xfa };

/* Interrupts cannot be turned off in user mode: the instruction is left out. */
static void skip_cli(int signal, siginfo_t *info, void *context)
{
    greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    (void)info;
    if (*(unsigned char *)*rip != CLI)
        _exit(128 + signal);
    *rip += 1;
}

static void map_file(const char *path, uint64_t address, int sharing)
{
    int file = open(path, O_RDWR);
    struct stat status;
    void *wanted = (void *)address;
    if (file < 0 || fstat(file, &status) != 0 ||
        mmap(wanted, (size_t)status.st_size, PROT_READ | PROT_WRITE | PROT_EXEC, sharing | MAP_FIXED, file, 0) != wanted)
        exit(2);
}

/* Fills the registers that a function must keep, calls it with six arguments, and says whether it kept them. */
uint64_t call(uint64_t function, const uint64_t *arguments, uint64_t *kept);
__asm__("call:\n\t"
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n\t"
        "push %rdx\n\t"
        "mov $1, %ebx; mov $2, %ebp; mov $3, %r12d; mov $4, %r13d; mov $5, %r14d; mov $6, %r15d\n\t"
        "mov %rdi, %rax; mov %rsi, %r10\n\t"
        "mov (%r10), %rdi; mov 8(%r10), %rsi; mov 16(%r10), %rdx\n\t"
        "mov 24(%r10), %rcx; mov 32(%r10), %r8; mov 40(%r10), %r9\n\t"
        "call *%rax\n\t"
        "xor $1, %ebx; xor $2, %ebp; xor $3, %r12d; xor $4, %r13d; xor $5, %r14d; xor $6, %r15d\n\t"
        "or %rbp, %rbx; or %r12, %rbx; or %r13, %rbx; or %r14, %rbx; or %r15, %rbx\n\t"
        "xor %ecx, %ecx; test %rbx, %rbx; sete %cl\n\t"
        "pop %rdx; mov %rcx, (%rdx)\n\t"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n\t"
        "ret");

int main(int argc, char **argv)
{
    uint64_t arguments[6];
    struct sigaction action = { .sa_sigaction = skip_cli, .sa_flags = SA_SIGINFO };
    uint64_t kept;
    if (argc != 13)
        return 2;
    map_file(argv[1], strtoull(argv[2], NULL, 0), MAP_SHARED);
    map_file(argv[3], strtoull(argv[4], NULL, 0), MAP_PRIVATE);
    sigaction(SIGSEGV, &action, NULL);
    syscall(SYS_arch_prctl, ARCH_SET_GS, strtoull(argv[5], NULL, 0));
    for (int index = 0; index < 6; index++)
        arguments[index] = strtoull(argv[7 + index], NULL, 0);
    uint64_t result = call(strtoull(argv[6], NULL, 0), arguments, &kept);
    printf("0x%lx %s\n", (unsigned long)result, kept ? "kept" : "lost");
    return 0;
}
