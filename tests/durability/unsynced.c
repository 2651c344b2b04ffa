/*
 * A power cut for tests: a library to preload (LD_PRELOAD) that remembers, of every database file, what had been
 * synced.
 *
 * The files are those below $UNSYNCED_FILES whose names end in `.db`, `-wal` or `-journal`. The program reads and
 * writes them as ever. Beside that, a shadow of each is kept in the folder $UNSYNCED_SHADOWS (its path with `/`
 * written as `%`): what a disk would surely hold that loses, when the power goes, every write since the last fsync or
 * fdatasync of that file. After the program was killed, the test puts each shadow in its file's place.
 *
 * A shadow follows a sync by the ranges written since the one before, not by the whole file: they are read before the
 * real sync begins and enter the shadow when it has returned. So whatever is killed in the middle of a sync loses all
 * of it, and no byte enters a shadow that was written after its sync began.
 *
 * What it takes for durable at once, and so does not test: names (creating, renaming, removing), as journalling file
 * systems keep them when the file itself is synced. A file that was created and never synced is empty after the cut.
 * A file written through a mapping or a raw system call isn't followed; SQLite writes databases and logs by neither.
 */
#define _GNU_SOURCE
/* The names with and without 64 are both defined here, so neither may be an alias of the other. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FDS 65536
#define MAX_FILES 1024

struct range {
    off_t start, end;
};

struct file {
    char path[PATH_MAX];
    char shadow_path[PATH_MAX];
    int live;      /* it still has its name */
    int reader;    /* our own descriptor of the file; never closed, for closing it would drop the program's locks */
    int shadow;    /* and of its shadow */
    off_t shortest; /* shortest length since the last sync: what lay beyond it was cut away */
    struct range *unsynced;
    size_t count, room;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct file files[MAX_FILES];
static size_t file_count;
static struct file *by_fd[MAX_FDS];
static char folder[PATH_MAX], shadows[PATH_MAX];

static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_renameat)(int, const char *, int, const char *);
static int (*real_unlinkat)(int, const char *, int);

/* A shim that can't do its work must not let a test pass. */
static void give_up(const char *what, const char *name) {
    fprintf(stderr, "unsynced: %s %s: %s\n", what, name, strerror(errno));
    abort();
}

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        give_up("no such function in the C library:", name);
    }
    return found;
}

static void begin(void) {
    real_openat = real("openat");
    real_close = real("close");
    real_write = real("write");
    real_pwrite = real("pwrite64");
    real_writev = real("writev");
    real_pwritev = real("pwritev64");
    real_ftruncate = real("ftruncate64");
    real_fsync = real("fsync");
    real_fdatasync = real("fdatasync");
    real_renameat = real("renameat");
    real_unlinkat = real("unlinkat");
    const char *files_below = getenv("UNSYNCED_FILES"), *shadows_in = getenv("UNSYNCED_SHADOWS");
    if (files_below == NULL || shadows_in == NULL) {
        return;
    }
    if (realpath(files_below, folder) == NULL) {
        give_up("UNSYNCED_FILES:", files_below);
    }
    if (realpath(shadows_in, shadows) == NULL) {
        give_up("UNSYNCED_SHADOWS:", shadows_in);
    }
}

static void ready(void) { pthread_once(&once, begin); }

static int ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

static int followed(const char *path) {
    size_t n = strlen(folder);
    if (n == 0 || strncmp(path, folder, n) != 0 || path[n] != '/') {
        return 0;
    }
    return ends_with(path, ".db") || ends_with(path, "-wal") || ends_with(path, "-journal");
}

static void shadow_name(const char *path, char *into) {
    int n = snprintf(into, PATH_MAX, "%s/%s", shadows, path + strlen(folder) + 1);
    if (n < 0 || n >= PATH_MAX) {
        give_up("path too long:", path);
    }
    for (char *c = into + strlen(shadows) + 1; *c != 0; c++) {
        if (*c == '/') {
            *c = '%';
        }
    }
}

/* From here to the hooks: with the lock held. */

static void copy(struct file *file, off_t start, off_t end) {
    static char buffer[1 << 16];
    while (start < end) {
        size_t want = (size_t)(end - start) < sizeof buffer ? (size_t)(end - start) : sizeof buffer;
        ssize_t got = pread(file->reader, buffer, want, start);
        if (got < 0) {
            give_up("can't read", file->path);
        }
        if (got == 0) {
            return; /* cut off since */
        }
        if (real_pwrite(file->shadow, buffer, (size_t)got, start) != got) {
            give_up("can't write", file->shadow_path);
        }
        start += got;
    }
}

static off_t length(struct file *file) {
    struct stat status;
    if (fstat(file->reader, &status) != 0) {
        give_up("can't stat", file->path);
    }
    return status.st_size;
}

static void wrote(struct file *file, off_t start, off_t end) {
    if (start >= end) {
        return;
    }
    if (file->count > 0 && file->unsynced[file->count - 1].end == start) {
        file->unsynced[file->count - 1].end = end;
        return;
    }
    if (file->count == file->room) {
        file->room = file->room == 0 ? 64 : 2 * file->room;
        file->unsynced = realloc(file->unsynced, file->room * sizeof *file->unsynced);
        if (file->unsynced == NULL) {
            give_up("no memory for", file->path);
        }
    }
    file->unsynced[file->count++] = (struct range){start, end};
}

static void cut(struct file *file, off_t to) {
    if (to < file->shortest) {
        file->shortest = to;
    }
}

/* What a sync makes durable: the length, and the bytes written since the sync before. */
struct batch {
    off_t shortest, length;
    struct range *ranges;
    size_t count;
    char *bytes;
};

static struct batch take(struct file *file) {
    struct batch batch = {file->shortest, length(file), file->unsynced, file->count, NULL};
    size_t total = 0;
    for (size_t i = 0; i < batch.count; i++) {
        total += (size_t)(batch.ranges[i].end - batch.ranges[i].start);
    }
    batch.bytes = malloc(total + 1);
    if (batch.bytes == NULL) {
        give_up("no memory for", file->path);
    }
    char *into = batch.bytes;
    for (size_t i = 0; i < batch.count; i++) {
        struct range *range = &batch.ranges[i];
        /* What was cut off since ends at the file's length. */
        if (range->end > batch.length) {
            range->end = batch.length;
        }
        if (range->start > range->end) {
            range->start = range->end;
        }
        size_t want = (size_t)(range->end - range->start);
        if (pread(file->reader, into, want, range->start) != (ssize_t)want) {
            give_up("can't read", file->path);
        }
        into += want;
    }
    file->unsynced = NULL;
    file->count = file->room = 0;
    file->shortest = batch.length;
    return batch;
}

static void put(struct file *file, struct batch *batch) {
    struct stat shadow;
    if (fstat(file->shadow, &shadow) != 0) {
        give_up("can't stat", file->shadow_path);
    }
    /* What was cut away and perhaps grew again is zeros but for what was written since. */
    if (batch->shortest < shadow.st_size && real_ftruncate(file->shadow, batch->shortest) != 0) {
        give_up("can't cut", file->shadow_path);
    }
    if (real_ftruncate(file->shadow, batch->length) != 0) {
        give_up("can't size", file->shadow_path);
    }
    char *from = batch->bytes;
    for (size_t i = 0; i < batch->count; i++) {
        size_t count = (size_t)(batch->ranges[i].end - batch->ranges[i].start);
        if (real_pwrite(file->shadow, from, count, batch->ranges[i].start) != (ssize_t)count) {
            give_up("can't write", file->shadow_path);
        }
        from += count;
    }
    free(batch->bytes);
    free(batch->ranges);
}

static struct file *named(const char *path) {
    for (size_t i = 0; i < file_count; i++) {
        if (files[i].live && strcmp(files[i].path, path) == 0) {
            return &files[i];
        }
    }
    return NULL;
}

static void follow(int fd, int created, int truncated) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) {
        return;
    }
    path[n] = 0;
    if (!followed(path)) {
        return;
    }
    if (fd >= MAX_FDS || file_count == MAX_FILES) {
        give_up("too many files for this shim, at", path);
    }
    struct file *file = named(path);
    if (file == NULL) {
        file = &files[file_count++];
        strcpy(file->path, path);
        shadow_name(path, file->shadow_path);
        file->reader = real_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
        file->shadow = real_openat(AT_FDCWD, file->shadow_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (file->reader < 0 || file->shadow < 0) {
            give_up("can't open the file or the shadow of", path);
        }
        /* What was there before this program came is taken for synced. */
        if (!created && !truncated) {
            copy(file, 0, length(file));
        }
        file->shortest = length(file);
        file->live = 1;
    }
    if (truncated) {
        cut(file, 0);
    }
    by_fd[fd] = file;
}

static void renamed(const char *from, const char *to) {
    struct file *file = named(from), *replaced = named(to);
    if (replaced != NULL && replaced != file) {
        replaced->live = 0;
        real_unlinkat(AT_FDCWD, replaced->shadow_path, 0);
    }
    if (file == NULL || file == replaced) {
        return;
    }
    if (!followed(to)) {
        file->live = 0;
        real_unlinkat(AT_FDCWD, file->shadow_path, 0);
        return;
    }
    char shadow[PATH_MAX];
    shadow_name(to, shadow);
    if (real_renameat(AT_FDCWD, file->shadow_path, AT_FDCWD, shadow) != 0) {
        give_up("can't rename", file->shadow_path);
    }
    strcpy(file->shadow_path, shadow);
    strcpy(file->path, to);
}

/* The hooks. */

static struct file *of(int fd) { return fd >= 0 && fd < MAX_FDS ? by_fd[fd] : NULL; }

/* The whole path of a name whose folder exists. */
static int whole(int at, const char *name, char *into) {
    char folder_of[PATH_MAX], link[64];
    const char *slash = strrchr(name, '/'), *base = slash == NULL ? name : slash + 1;
    if (name[0] == '/' || at == AT_FDCWD) {
        snprintf(folder_of, sizeof folder_of, "%.*s", slash == NULL ? 1 : (int)(slash - name + 1),
                 slash == NULL ? "." : name);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        snprintf(folder_of, sizeof folder_of, "%s/%.*s", link, slash == NULL ? 1 : (int)(slash - name + 1),
                 slash == NULL ? "." : name);
    }
    char resolved[PATH_MAX];
    if (realpath(folder_of, resolved) == NULL) {
        return 0;
    }
    int n = snprintf(into, PATH_MAX, "%s/%s", resolved, base);
    return n > 0 && n < PATH_MAX;
}

static int open_hook(int at, const char *name, int flags, mode_t mode) {
    ready();
    if (folder[0] == 0 || (flags & (O_PATH | O_DIRECTORY)) != 0) {
        return real_openat(at, name, flags, mode);
    }
    pthread_mutex_lock(&lock);
    struct stat status;
    int created = (flags & O_CREAT) != 0 && fstatat(at, name, &status, 0) != 0;
    int fd = real_openat(at, name, flags, mode);
    int error = errno;
    if (fd >= 0) {
        follow(fd, created, (flags & O_TRUNC) != 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define WITH_MODE                                                                                                      \
    mode_t mode = 0;                                                                                                   \
    if ((flags & (O_CREAT | O_TMPFILE)) != 0) {                                                                        \
        va_list list;                                                                                                  \
        va_start(list, flags);                                                                                         \
        mode = va_arg(list, mode_t);                                                                                   \
        va_end(list);                                                                                                  \
    }

int open(const char *name, int flags, ...) {
    WITH_MODE
    return open_hook(AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...) {
    WITH_MODE
    return open_hook(AT_FDCWD, name, flags, mode);
}

int openat(int at, const char *name, int flags, ...) {
    WITH_MODE
    return open_hook(at, name, flags, mode);
}

int openat64(int at, const char *name, int flags, ...) {
    WITH_MODE
    return open_hook(at, name, flags, mode);
}

int creat(const char *name, mode_t mode) { return open_hook(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int creat64(const char *name, mode_t mode) { return open_hook(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
    ready();
    if (of(fd) == NULL) {
        return real_close(fd);
    }
    pthread_mutex_lock(&lock);
    by_fd[fd] = NULL;
    int result = real_close(fd);
    pthread_mutex_unlock(&lock);
    return result;
}

/* After a write at the descriptor's own offset, which may be the end of the file (O_APPEND). */
static void wrote_here(int fd, struct file *file, ssize_t written) {
    int error = errno;
    off_t end = lseek(fd, 0, SEEK_CUR);
    if (written > 0 && end >= written) {
        wrote(file, end - written, end);
    }
    errno = error;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    ready();
    struct file *file = of(fd);
    if (file == NULL) {
        return real_write(fd, bytes, count);
    }
    pthread_mutex_lock(&lock);
    ssize_t written = real_write(fd, bytes, count);
    wrote_here(fd, file, written);
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    ready();
    struct file *file = of(fd);
    if (file == NULL) {
        return real_writev(fd, parts, count);
    }
    pthread_mutex_lock(&lock);
    ssize_t written = real_writev(fd, parts, count);
    wrote_here(fd, file, written);
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) {
    ready();
    struct file *file = of(fd);
    if (file == NULL) {
        return real_pwrite(fd, bytes, count, at);
    }
    pthread_mutex_lock(&lock);
    ssize_t written = real_pwrite(fd, bytes, count, at);
    wrote(file, at, at + (written > 0 ? written : 0));
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return pwrite64(fd, bytes, count, at); }

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) {
    ready();
    struct file *file = of(fd);
    if (file == NULL) {
        return real_pwritev(fd, parts, count, at);
    }
    pthread_mutex_lock(&lock);
    ssize_t written = real_pwritev(fd, parts, count, at);
    wrote(file, at, at + (written > 0 ? written : 0));
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return pwritev64(fd, parts, count, at); }

int ftruncate64(int fd, off_t to) {
    ready();
    struct file *file = of(fd);
    if (file == NULL) {
        return real_ftruncate(fd, to);
    }
    pthread_mutex_lock(&lock);
    int result = real_ftruncate(fd, to);
    if (result == 0) {
        cut(file, to);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int fd, off_t to) { return ftruncate64(fd, to); }

static int sync_hook(int fd, int (*real_sync)(int)) {
    /* One sync at a time: their batches must enter the shadow in the order in which they were taken. */
    static pthread_mutex_t syncing = PTHREAD_MUTEX_INITIALIZER;
    struct file *file = of(fd);
    if (file == NULL) {
        return real_sync(fd);
    }
    pthread_mutex_lock(&syncing);
    pthread_mutex_lock(&lock);
    struct batch batch = take(file);
    pthread_mutex_unlock(&lock);
    int result = real_sync(fd);
    if (result != 0) {
        give_up("can't sync", file->path);
    }
    pthread_mutex_lock(&lock);
    put(file, &batch);
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&syncing);
    return result;
}

int fsync(int fd) {
    ready();
    return sync_hook(fd, real_fsync);
}

int fdatasync(int fd) {
    ready();
    return sync_hook(fd, real_fdatasync);
}

int renameat(int from_at, const char *from, int to_at, const char *to) {
    ready();
    char from_path[PATH_MAX], to_path[PATH_MAX];
    int known = folder[0] != 0 && whole(from_at, from, from_path) && whole(to_at, to, to_path);
    pthread_mutex_lock(&lock);
    int result = real_renameat(from_at, from, to_at, to);
    int error = errno;
    if (result == 0 && known) {
        renamed(from_path, to_path);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int unlinkat(int at, const char *name, int flags) {
    ready();
    char path[PATH_MAX];
    int known = folder[0] != 0 && whole(at, name, path);
    pthread_mutex_lock(&lock);
    int result = real_unlinkat(at, name, flags);
    int error = errno;
    struct file *file = result == 0 && known ? named(path) : NULL;
    if (file != NULL) {
        file->live = 0;
        real_unlinkat(AT_FDCWD, file->shadow_path, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
