/* The log of maps_random.c: after each operation, which rows of /proc/self/maps are gone and which are new. */
#ifndef MAP_LOG_H
#define MAP_LOG_H

#include <fcntl.h>

#include "../lab.h"

#define TEXT_MAX (1 << 18)
#define ROWS_MAX 2048

/* The rows of one reading. Static, so that logging maps nothing. */
struct reading {
    char text[TEXT_MAX];
    const char *rows[ROWS_MAX];
    size_t lengths[ROWS_MAX];
    int count;
};

static struct reading readings[2];
static int current;
static int log_file;

static void write_out(const void *data, size_t length)
{
    check(write(log_file, data, length) == (ssize_t)length, "write to the log");
}

static void read_maps(struct reading *reading)
{
    int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t got;
    check(file >= 0, "/proc/self/maps");
    while ((got = read(file, reading->text + length, TEXT_MAX - length)) > 0)
        length += (size_t)got;
    check(got == 0, "/proc/self/maps");
    close(file);
    reading->count = 0;
    for (char *at = reading->text, *end; at < reading->text + length; at = end + 1) {
        end = memchr(at, '\n', (size_t)(reading->text + length - at));
        check(end != NULL && reading->count < ROWS_MAX, "too many rows");
        reading->rows[reading->count] = at;
        reading->lengths[reading->count++] = (size_t)(end - at) + 1;
    }
}

static int holds(const struct reading *reading, const char *row, size_t length)
{
    for (int i = 0; i < reading->count; i++)
        if (reading->lengths[i] == length && memcmp(reading->rows[i], row, length) == 0)
            return 1;
    return 0;
}

static void log_difference(char sign, const struct reading *these, const struct reading *those)
{
    for (int i = 0; i < these->count; i++) {
        if (holds(those, these->rows[i], these->lengths[i]))
            continue;
        write_out(&sign, 1);
        write_out(these->rows[i], these->lengths[i]);
    }
}

/* Writes "op NUMBER WHAT", then "-ROW" for each row that is gone and "+ROW" for each that is new. */
static void log_operation(int number, const char *what)
{
    char line[160];
    struct reading *before = &readings[current], *after = &readings[1 - current];
    read_maps(after);
    int length = snprintf(line, sizeof line, "op %d %s\n", number, what);
    write_out(line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
    log_difference('-', before, after);
    log_difference('+', after, before);
    current = 1 - current;
}

#endif
