/*
 * Helper: fills a guest with memory areas for whoever lists them.
 *
 *   many_vmas PROCESSES AREAS LARGEST
 *
 * Starts PROCESSES processes that make AREAS areas each, the first of them LARGEST: most of them anonymous memory of one
 * page, protected in turns, the rest shared memory with a name and pages of the program itself. Prints
 * "many_vmas ready PROCESSES" when all have theirs; then all of them wait, for ever.
 */
#define _GNU_SOURCE
#include "../lab.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

/* Every so many areas, one is of a file. */
#define FILE_EVERY 16
#define ARENA ((unsigned char *)0x200000000000)

static const int protections[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC };

static void map(unsigned char *at, int protection, int flags, int file, off_t offset)
{
    check(mmap(at, PAGE, protection, MAP_FIXED | flags, file, offset) != MAP_FAILED, "mmap");
}

static void make_areas(int count, int number)
{
    char name[32];
    snprintf(name, sizeof name, "shared %d", number);
    int shared = memfd_create(name, 0);
    int program = open("/proc/self/exe", O_RDONLY);
    check(shared >= 0 && program >= 0 && ftruncate(shared, PAGE) == 0, "files");
    for (int area = 0; area < count; area++) {
        unsigned char *at = ARENA + (size_t)area * PAGE;
        int protection = protections[(area + number) % 4];
        if (area % FILE_EVERY == 1)
            map(at, PROT_READ, MAP_SHARED, shared, 0);
        else if (area % FILE_EVERY == 2)
            map(at, PROT_READ, MAP_PRIVATE, program, PAGE * (area % 5));
        else
            map(at, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
}

int main(int argc, char **argv)
{
    int ready[2];
    char byte;
    check(argc == 4 && pipe(ready) == 0, "many_vmas PROCESSES AREAS LARGEST");
    int processes = atoi(argv[1]);
    for (int number = 0; number < processes; number++) {
        pid_t child = fork();
        check(child >= 0, "fork");
        if (child == 0) {
            make_areas(atoi(argv[number == 0 ? 3 : 2]), number);
            check(write(ready[1], "", 1) == 1, "write");
            for (;;)
                pause();
        }
    }
    for (int number = 0; number < processes; number++)
        check(read(ready[0], &byte, 1) == 1, "read");
    say("many_vmas ready %d", processes);
    for (;;)
        pause();
}
