"""Places to run the program in: a small disk, a clock that jumps, few rights."""

import contextlib
import mmap
import os
import pathlib
import struct
import subprocess
import time

SECONDS = 60
NOBODY = 65534  # the user without rights


class SmallDisk:
    """A disk of a few megabytes, mounted at an empty folder for the processes of a namespace.

    It needs no rights where a user may make namespaces, and root elsewhere. What is on it is
    seen from outside under `seen`; `command` runs words with it mounted at `folder`."""

    def __init__(self, folder, size):
        folder.mkdir()
        self.folder = folder
        mount = f"mount -t tmpfs -o size={size},mode=0777 small {folder} && echo ready && exec cat"
        for options in (["-Urm"], ["-m"]):
            self.holder = subprocess.Popen(
                ["unshare", *options, "sh", "-c", mount], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if self.holder.stdout.readline() == "ready\n":
                break
            error = self.holder.communicate()[1]
        else:
            raise AssertionError(
                "this test needs to mount a small disk: user namespaces (sysctl "
                f"kernel.unprivileged_userns_clone=1) or root; unshare says: {error}")
        self.enter = ["nsenter", "-t", str(self.holder.pid), "-m"] + (
            ["-U", "--preserve-credentials"] if options == ["-Urm"] else [])
        self.seen = pathlib.Path(f"/proc/{self.holder.pid}/root{folder}")

    def command(self, *words, cwd):
        return [*self.enter, f"--wd={cwd}", "--", *map(str, words)]

    def remount(self, mode):
        subprocess.run(self.command("mount", "-o", f"remount,{mode}", self.folder, cwd="/"),
                       check=True)

    def free(self):
        st = os.statvfs(self.seen)
        return st.f_bavail * st.f_bsize

    def leave(self, free):
        """Fill the disk until about `free` bytes are left."""
        with open(self.seen / "ballast", "ab", buffering=0) as file:
            with contextlib.suppress(OSError):
                while self.free() > free:
                    file.write(b"x" * min(1 << 20, self.free() - free))

    def clear(self):
        (self.seen / "ballast").unlink()

    def names(self):
        return sorted(str(path.relative_to(self.seen)) for path in self.seen.rglob("*")
                      if path.name != "ballast")

    def close(self):
        self.holder.communicate()


CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Seconds by which the wall clock is wrong, shared with the test. */
static volatile const long *offset(void) {
  static volatile const long *shared;
  static const long none;
  if (shared) return shared;
  const char *name = getenv("CLOCK_FILE");
  int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
  void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
  if (fd >= 0) close(fd);
  return shared = page == MAP_FAILED ? &none : page;
}

int clock_gettime(clockid_t id, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int done = real(id, now);
  if (done == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += *offset();
  return done;
}

int gettimeofday(struct timeval *now, void *zone) {
  struct timespec at;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &at) != 0) return -1;
  now->tv_sec = at.tv_sec;
  now->tv_usec = at.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *ret) {
  struct timespec at;
  if (clock_gettime(CLOCK_REALTIME, &at) != 0) return -1;
  if (ret) *ret = at.tv_sec;
  return at.tv_sec;
}
"""


class Clock:
    """A wall clock that jumps when it is told, for programs with `environment`."""

    def __init__(self, folder):
        (folder / "clock.c").write_text(CLOCK)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", folder / "clock.so",
                        folder / "clock.c", "-ldl"], check=True)
        (folder / "clock").write_bytes(struct.pack("l", 0))
        with open(folder / "clock", "r+b") as file:
            self.page = mmap.mmap(file.fileno(), struct.calcsize("l"))
        self.environment = {"LD_PRELOAD": str(folder / "clock.so"), "CLOCK_FILE": str(folder / "clock")}

    def jump(self, seconds):
        self.page[:] = struct.pack("l", seconds)

    def now(self):
        return time.time() + struct.unpack("l", self.page[:])[0]


def without_rights():
    """Words before a command that make root obey the bits of files; none for other users."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"] if os.geteuid() == 0 else []


def run_as_nobody(path, arguments, **options):
    """Run a program as a user that is not root (whose processes the system counts)."""
    if os.geteuid() != 0:
        return subprocess.run([path, *arguments], capture_output=True, text=True, timeout=SECONDS,
                              check=False, **options)
    program = os.open(path, os.O_PATH)
    try:  # by its descriptor: the folders above need not let that user in
        return subprocess.run(
            [f"/proc/self/fd/{program}", *arguments], user=NOBODY, group=NOBODY, extra_groups=[],
            pass_fds=[program], capture_output=True, text=True, timeout=SECONDS, check=False,
            **options)
    finally:
        os.close(program)


def count_threads(user):
    """Threads of all processes of a user, as RLIMIT_NPROC counts them."""
    count = 0
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid == user:
                count += len(os.listdir(process / "task"))
    return count
