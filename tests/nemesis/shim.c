/* Stands between a node and the C library: its wall clock may be wrong, and its syncs slow.
 *
 * What is wrong is read from a file that both processes map, so it takes no call to look at it. The
 * monotonic clock stays as it is: the system promises that it never jumps. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct trouble {
  volatile int64_t clock_ms; /* how far ahead the clock is */
  volatile int64_t sync_ms;  /* how long a sync takes, beside what it takes anyway */
};

static const struct trouble none;
static const struct trouble *trouble = &none;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("NEMESIS_TROUBLE");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *mapped = mmap(NULL, sizeof(struct trouble), PROT_READ, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) trouble = mapped;
  close(file);
}

/* Ends early when the disk is well again. */
static void wait_for_disk(void) {
  const struct timespec step = {.tv_nsec = 5 * 1000 * 1000};
  for (int64_t waited = 0; waited < trouble->sync_ms; waited += 5) nanosleep(&step, NULL);
}

int fdatasync(int file) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
  wait_for_disk();
  return real(file);
}

int fsync(int file) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fsync");
  wait_for_disk();
  return real(file);
}

int msync(void *start, size_t length, int flags) {
  static int (*real)(void *, size_t, int);
  if (!real) real = dlsym(RTLD_NEXT, "msync");
  wait_for_disk();
  return real(start, length, flags);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, time);
  if (result == 0 && clock == CLOCK_REALTIME) {
    int64_t ns = time->tv_nsec + trouble->clock_ms % 1000 * 1000000;
    time->tv_sec += trouble->clock_ms / 1000;
    if (ns < 0) { ns += 1000000000; time->tv_sec -= 1; }
    if (ns >= 1000000000) { ns -= 1000000000; time->tv_sec += 1; }
    time->tv_nsec = ns;
  }
  return result;
}
