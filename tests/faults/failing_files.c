/* Loaded before the C library: counts the operations on files under a folder and lets one of them fail. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static long count, wanted;
static int error_number;
static char failed[PATH_MAX + 64];

/* From now on the operation with the number `at` under `folder` fails with `number`; 0 for none. */
void faults_arm(const char *folder, long at, int number) {
  pthread_mutex_lock(&guard);
  snprintf(root, sizeof root, "%s", folder);
  count = 0;
  wanted = at;
  error_number = number;
  failed[0] = 0;
  pthread_mutex_unlock(&guard);
}

long faults_count(void) { return count; }
const char *faults_failed(void) { return failed; }

static int fails(const char *operation, const char *path) {
  int found = 0;
  size_t size = strlen(root);
  if (!size || strncmp(path, root, size) || (path[size] && path[size] != '/')) return 0;
  pthread_mutex_lock(&guard);
  if (++count == wanted) {
    snprintf(failed, sizeof failed, "%s %s", operation, path);
    found = 1;
  }
  pthread_mutex_unlock(&guard);
  if (found) errno = error_number;
  return found;
}

static int fails_at(const char *operation, int descriptor) {
  char link[64], path[PATH_MAX];
  if (!root[0]) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return 0;
  path[size] = 0;
  return fails(operation, path);
}

#define NEXT(type, name, ...) \
  static type (*next)(__VA_ARGS__); \
  if (!next) next = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define WRITES (O_WRONLY | O_RDWR | O_CREAT)

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    NEXT(int, #name, const char *, int, ...); \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
    if ((flags & WRITES) && fails("open", path)) return -1; \
    return next(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

#define FOPEN(name) \
  FILE *name(const char *path, const char *mode) { \
    NEXT(FILE *, #name, const char *, const char *); \
    if (strpbrk(mode, "wa+") && fails("open", path)) return NULL; \
    return next(path, mode); \
  }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t write(int descriptor, const void *content, size_t size) {
  NEXT(ssize_t, "write", int, const void *, size_t);
  return fails_at("write", descriptor) ? -1 : next(descriptor, content, size);
}

size_t fwrite(const void *content, size_t size, size_t number, FILE *file) {
  NEXT(size_t, "fwrite", const void *, size_t, size_t, FILE *);
  return fails_at("write", fileno(file)) ? 0 : next(content, size, number, file);
}

int fflush(FILE *file) {
  NEXT(int, "fflush", FILE *);
  return file && fails_at("flush", fileno(file)) ? EOF : next(file);
}

int fclose(FILE *file) {
  NEXT(int, "fclose", FILE *);
  int bad = fails_at("close", fileno(file)), number = errno;
  int result = next(file);
  if (bad) errno = number;
  return bad ? EOF : result;
}

int fsync(int descriptor) {
  NEXT(int, "fsync", int);
  return fails_at("sync", descriptor) ? -1 : next(descriptor);
}

int rename(const char *from, const char *to) {
  NEXT(int, "rename", const char *, const char *);
  return fails("rename", to) ? -1 : next(from, to);
}

int mkdir(const char *path, mode_t mode) {
  NEXT(int, "mkdir", const char *, mode_t);
  return fails("mkdir", path) ? -1 : next(path, mode);
}

int unlink(const char *path) {
  NEXT(int, "unlink", const char *);
  return fails("unlink", path) ? -1 : next(path);
}
