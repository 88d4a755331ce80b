/* What the lab's programs share: one line of output at once, handlers that tell that they ran, and a small payload. */
#ifndef LAB_H
#define LAB_H

#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define PAYLOAD_MAX 128

/* Prints one line and flushes it. */
__attribute__((format(printf, 1, 2))) static inline void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

/* Prints what failed and leaves with status 1: the lab is broken, not the protection. */
static inline void check(int fine, const char *what)
{
    if (fine)
        return;
    perror(what);
    exit(1);
}

static inline void tell_handled(int number)
{
    static const char line[] = "HANDLED\n";
    (void)number;
    (void)!write(1, line, sizeof line - 1);
    _exit(3);
}

/* From here on a signal that protection should not let the program see prints HANDLED and ends it with status 3. */
static inline void watch_signals(void)
{
    signal(SIGSEGV, tell_handled);
    signal(SIGBUS, tell_handled);
    signal(SIGILL, tell_handled);
    signal(SIGTRAP, tell_handled);
    signal(SIGTERM, tell_handled);
}

/*
 * Writes position-independent code that prints "PWNED name" by write(2), then returns (status < 0) or leaves by
 * exit_group(2) with that status. Returns its length, at most PAYLOAD_MAX.
 */
static inline size_t make_payload(unsigned char *target, const char *name, int status)
{
    char message[48];
    uint32_t message_length = (uint32_t)snprintf(message, sizeof message, "PWNED %s\n", name);
    unsigned char code[] = {
        0xb8, 1, 0, 0, 0,                /* mov eax, SYS_write */
        0xbf, 1, 0, 0, 0,                /* mov edi, 1 */
        0x48, 0x8d, 0x35, 0, 0, 0, 0,    /* lea rsi, [rip + message] */
        0xba, 0, 0, 0, 0,                /* mov edx, length */
        0x0f, 0x05,                      /* syscall */
        0xc3, 0x90, 0x90, 0x90, 0x90,    /* ret; or mov eax, SYS_exit_group */
        0xbf, 0, 0, 0, 0,                /* mov edi, status */
        0x0f, 0x05,                      /* syscall */
    };
    uint32_t to_message = sizeof code - 17;
    memcpy(code + 13, &to_message, 4);
    memcpy(code + 18, &message_length, 4);
    if (status >= 0) {
        memcpy(code + 24, (unsigned char[]){ 0xb8, 231, 0, 0, 0 }, 5);
        memcpy(code + 30, &status, 4);
    }
    memcpy(target, code, sizeof code);
    memcpy(target + sizeof code, message, message_length);
    return sizeof code + message_length;
}

/* Maps pages of private anonymous memory. */
static inline unsigned char *map_anonymous(size_t length, int protection)
{
    void *memory = mmap(NULL, length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(memory != MAP_FAILED, "mmap");
    return memory;
}

/* Says where it is about to go, and calls it. */
static inline void jump_to(const void *code)
{
    void (*function)(void);
    say("about to run code at %p", code);
    memcpy(&function, &code, sizeof function);
    function();
}

#endif
