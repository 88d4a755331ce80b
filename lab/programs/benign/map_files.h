/* Files with paths that are hard to print right, for maps_random.c: names, other mounts, and files that are gone. */
#ifndef MAP_FILES_H
#define MAP_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "../lab.h"

#define FILE_PAGES 64
#define MAX_FILES 32

static int files[MAX_FILES];
static int file_count;

static int add_descriptor(int descriptor, const char *what)
{
    check(descriptor >= 0 && file_count < MAX_FILES, what);
    check(ftruncate(descriptor, FILE_PAGES * PAGE) == 0, what);
    files[file_count++] = descriptor;
    return descriptor;
}

static void add_file(const char *path)
{
    add_descriptor(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644), path);
}

static void make_folder(const char *path)
{
    check(mkdir(path, 0755) == 0 || errno == EEXIST, path);
}

static void add_named_files(void)
{
    char name[256];
    make_folder("/tmp/maps");
    add_file("/tmp/maps/plain");
    add_file("/tmp/maps/with space");
    add_file("/tmp/maps/  spaces at both ends ");
    add_file("/tmp/maps/new\nline");
    add_file("/tmp/maps/two\n\nlines\n");
    add_file("/tmp/maps/tab\tand\rreturn");
    add_file("/tmp/maps/back\\slash");
    add_file("/tmp/maps/back\\012slash");
    add_file("/tmp/maps/quote\"'`$(x)");
    add_file("/tmp/maps/gr\xc3\xbc\xc3\x9f \xe2\x82\xac");
    add_file("/tmp/maps/not utf8 \xff\xfe");
    add_file("/tmp/maps/not gone (deleted)");
    add_file("/tmp/maps/[heap]");
    snprintf(name, sizeof name, "/tmp/maps/%0200d", 7);
    add_file(name);
}

static void add_files_on_mounts(void)
{
    add_file("/root/on the first file system");
    add_file("/dev/shm/on shm");
    add_file("/mnt/data/on data");
    add_file("/mnt/data/inner/seen from data");
    add_file("/mnt/bound/seen from bound");
    add_file("/mnt/bound/deep/seen from bound");
    add_file("/mnt/file"); /* a file bound on a file */
}

static void add_lost_files(void)
{
    add_file("/tmp/maps/gone");
    unlink("/tmp/maps/gone");
    add_file("/tmp/maps/gone\nwith line");
    unlink("/tmp/maps/gone\nwith line");
    make_folder("/tmp/maps/gone folder");
    add_file("/tmp/maps/gone folder/gone too");
    unlink("/tmp/maps/gone folder/gone too");
    rmdir("/tmp/maps/gone folder");
    add_file("/tmp/maps/old name");
    check(rename("/tmp/maps/old name", "/tmp/maps/new name") == 0, "rename");
    make_folder("/mnt/detached");
    check(mount("detached", "/mnt/detached", "tmpfs", 0, NULL) == 0, "mount");
    add_file("/mnt/detached/on a detached mount");
    check(umount2("/mnt/detached", MNT_DETACH) == 0, "umount");
}

/* Opens all of them, FILE_PAGES pages each, and two files that never had a name. Needs the lab's mounts (init.sh). */
static void open_files(void)
{
    add_named_files();
    add_files_on_mounts();
    add_lost_files();
    add_descriptor(memfd_create("lab", MFD_CLOEXEC), "memfd_create");
    add_descriptor(memfd_create("lab with space\n", MFD_CLOEXEC), "memfd_create");
}

#endif
