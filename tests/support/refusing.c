/* Lets calls below a folder fail, as network and FUSE file systems do: loaded by LD_PRELOAD.
 *
 * REFUSE_BELOW   the folder
 * REFUSE         calls and error numbers: "fsync-folder=22,flock=38"
 *
 * Calls: open fsync fsync-folder flock fchmod statvfs rename unlink write ftruncate mkdir read readdir stat
 * "flock-nfs" has no number: an exclusive lock needs a descriptor that can be written to.
 * "statvfs-zero" has no number: a disk that does not say how large it is.
 * "fchmod-ignored" has no number: it succeeds, and nothing changes.
 * "owner" has a user's id instead: every file below the folder is that user's.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int number_of(const char *call) {
  const char *text = getenv("REFUSE");
  size_t length = strlen(call);
  while (text && *text) {
    if (!strncmp(text, call, length) && (text[length] == '=' || text[length] == ',' || !text[length]))
      return text[length] == '=' ? atoi(text + length + 1) : 1;
    text = strchr(text, ',');
    if (text) text++;
  }
  return 0;
}

static int is_below(const char *path) {
  const char *root = getenv("REFUSE_BELOW");
  size_t length = root ? strlen(root) : 0;
  return length && !strncmp(path, root, length) && (path[length] == '/' || !path[length]);
}

static int path_is_below(int folder, const char *path) {
  char link[64], whole[PATH_MAX];
  if (!path) return 0;
  if (path[0] == '/') return is_below(path);
  if (folder == AT_FDCWD) {
    if (!getcwd(whole, sizeof whole)) return 0;
  } else {
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, whole, sizeof whole - 1);
    if (length < 0) return 0;
    whole[length] = 0;
  }
  strncat(whole, "/", sizeof whole - strlen(whole) - 1);
  strncat(whole, path, sizeof whole - strlen(whole) - 1);
  return is_below(whole);
}

static int descriptor_is_below(int descriptor) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_below(path);
}

static int is_folder(int descriptor) {
  struct stat status;
  return !REAL(fstat)(descriptor, &status) && S_ISDIR(status.st_mode);
}

static int refused(const char *call, int below) {
  int number = below ? number_of(call) : 0;
  if (number) errno = number;
  return number;
}

#define OPEN(name)                                                             \
  int name(const char *path, int flags, ...) {                                 \
    va_list rest;                                                              \
    va_start(rest, flags);                                                     \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;  \
    va_end(rest);                                                              \
    int below = path_is_below(AT_FDCWD, path);                                 \
    if (refused("open", below && !(flags & O_DIRECTORY))) return -1;           \
    if (refused("open-folder", below && (flags & O_DIRECTORY))) return -1;     \
    return REAL(name)(path, flags, mode);                                      \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                           \
  int name(int folder, const char *path, int flags, ...) {                     \
    va_list rest;                                                              \
    va_start(rest, flags);                                                     \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;  \
    va_end(rest);                                                              \
    if (refused("open", path_is_below(folder, path))) return -1;               \
    return REAL(name)(folder, path, flags, mode);                              \
  }
OPENAT(openat)
OPENAT(openat64)

int fsync(int descriptor) {
  int folder = is_folder(descriptor);
  if (refused(folder ? "fsync-folder" : "fsync", descriptor_is_below(descriptor))) return -1;
  return REAL(fsync)(descriptor);
}

int flock(int descriptor, int operation) {
  int below = descriptor_is_below(descriptor);
  if (refused("flock", below)) return -1;
  if (below && number_of("flock-nfs") && (operation & LOCK_EX) &&
      (fcntl(descriptor, F_GETFL) & O_ACCMODE) == O_RDONLY) {
    errno = EBADF;
    return -1;
  }
  return REAL(flock)(descriptor, operation);
}

int fchmod(int descriptor, mode_t mode) {
  int below = descriptor_is_below(descriptor);
  if (refused("fchmod", below)) return -1;
  return below && number_of("fchmod-ignored") ? 0 : REAL(fchmod)(descriptor, mode);
}

#define STATVFS(name, type)                                                    \
  int name(const char *path, struct type *disk) {                              \
    int below = path_is_below(AT_FDCWD, path);                                 \
    if (refused("statvfs", below)) return -1;                                  \
    if (below && number_of("statvfs-zero")) {                                  \
      memset(disk, 0, sizeof *disk);                                           \
      return 0;                                                                \
    }                                                                          \
    return REAL(name)(path, disk);                                             \
  }
STATVFS(statvfs, statvfs)
STATVFS(statvfs64, statvfs64)

int rename(const char *from, const char *to) {
  return refused("rename", path_is_below(AT_FDCWD, to)) ? -1 : REAL(rename)(from, to);
}

int unlink(const char *path) {
  return refused("unlink", path_is_below(AT_FDCWD, path)) ? -1 : REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
  return refused("mkdir", path_is_below(AT_FDCWD, path)) ? -1 : REAL(mkdir)(path, mode);
}

ssize_t write(int descriptor, const void *content, size_t length) {
  return refused("write", descriptor_is_below(descriptor)) ? -1 : REAL(write)(descriptor, content, length);
}

ssize_t read(int descriptor, void *content, size_t length) {
  return refused("read", descriptor_is_below(descriptor)) ? -1 : REAL(read)(descriptor, content, length);
}

#define FTRUNCATE(name, type)                                                  \
  int name(int descriptor, type length) {                                      \
    return refused("ftruncate", descriptor_is_below(descriptor)) ? -1 : REAL(name)(descriptor, length); \
  }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

static void give_away(struct stat *status, int below) {
  if (below && number_of("owner")) status->st_uid = number_of("owner");
}

#define LSTAT(name, type)                                                      \
  int name(const char *path, struct type *status) {                            \
    return refused("stat", path_is_below(AT_FDCWD, path)) ? -1 : REAL(name)(path, status); \
  }
LSTAT(lstat, stat)
LSTAT(lstat64, stat64)

#define FSTAT(name, type)                                                      \
  int name(int descriptor, struct type *status) {                              \
    int done = REAL(name)(descriptor, status);                                 \
    if (!done) give_away((struct stat *)status, descriptor_is_below(descriptor)); \
    return done;                                                               \
  }
FSTAT(fstat, stat)
FSTAT(fstat64, stat64)
