/* node.c -- see node.h. */
#include "cluster/node.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <igloo/igloo.h>
#include <link.h>
#include <pthread.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "node.id"
#define HEX_BYTES 8

/* ---- name and id ------------------------------------------------------------------- */

static void draw_hex(char ret_hex[HEX_BYTES + 1]) {
  uint8_t bytes[HEX_BYTES / 2];
  randombytes_buf(bytes, sizeof bytes);
  (void)sodium_bin2hex(ret_hex, HEX_BYTES + 1, bytes, sizeof bytes);
}

static bool is_hex(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (!ig_ascii_is_digit(text[i]) && !(text[i] >= 'a' && text[i] <= 'f')) return false;
  return len == HEX_BYTES;
}

/* False where there is none, or what is there is none. */
static bool read_hex(int folder_fd, char ret_hex[HEX_BYTES + 1]) {
  IG_AUTO_FD fd =
      openat(folder_fd, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return false;
  ssize_t got = read(fd, ret_hex, HEX_BYTES);
  ret_hex[HEX_BYTES] = '\0';
  return got == HEX_BYTES && is_hex(ret_hex, HEX_BYTES);
}

/* Whole or not at all. */
static igloo_status write_hex(int folder_fd, const char *hex,
                              struct igloo_error *reterr) {
  int how = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
  IG_AUTO_FD fd = openat(folder_fd, FILE_NAME ".new", how, 0600);
  if (fd >= 0 && write(fd, hex, HEX_BYTES) == HEX_BYTES && write(fd, "\n", 1) == 1 &&
      fsync(fd) == 0 && renameat(folder_fd, FILE_NAME ".new", folder_fd, FILE_NAME) == 0)
    return IGLOO_OK;
  return ig_fail_errno(reterr, errno, "could not write file \"" FILE_NAME "\"");
}

igloo_status ig_node_name(enum ig_member_role role, const char *folder,
                          char ret_name[IG_MEMBER_ID_BYTES], struct igloo_error *reterr) {
  char hex[HEX_BYTES + 1];
  if (sodium_init() < 0)
    return ig_fail(reterr, IGLOO_INTERNAL, "could not start libsodium");
  if (!folder || !folder[0]) {
    draw_hex(hex);
  } else {
    IG_AUTO_FD folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0)
      return ig_fail_errno(reterr, errno, "could not open folder \"%s\"", folder);
    if (!read_hex(folder_fd, hex)) {
      draw_hex(hex);
      IG_TRY(write_hex(folder_fd, hex, reterr));
    }
  }
  (void)snprintf(ret_name, IG_MEMBER_ID_BYTES, "%c-%s",
                 role == IG_MEMBER_COORDINATOR ? 'c' : 'w', hex);
  return IGLOO_OK;
}

void ig_node_id(const char *name, char ret_id[IG_MEMBER_ID_BYTES]) {
  char hex[HEX_BYTES + 1];
  draw_hex(hex);
  (void)snprintf(ret_id, IG_MEMBER_ID_BYTES, "%.*s-%s",
                 IG_MEMBER_ID_BYTES - HEX_BYTES - 2, name, hex);
}

/* ---- host -------------------------------------------------------------------------- */

/* Of a kernel: drawn at each start of the machine. */
static size_t read_boot_id(char *dst, size_t cap) {
  IG_AUTO_FD fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, dst, cap);
  return got > 0 ? (size_t)got : 0;
}

void ig_node_host(char ret_host[IG_NODE_HOST_BYTES]) {
  struct {
    char boot_id[64], mounts[64];
    uid_t user;
  } seen;
  uint8_t hash[(IG_NODE_HOST_BYTES - 1) / 2];
  memset(&seen, 0, sizeof seen);
  seen.user = geteuid();
  ret_host[0] = '\0';
  if (sodium_init() < 0 || !read_boot_id(seen.boot_id, sizeof seen.boot_id) ||
      readlink("/proc/self/ns/mnt", seen.mounts, sizeof seen.mounts - 1) <= 0)
    return;
  (void)crypto_generichash(hash, sizeof hash, (const uint8_t *)&seen, sizeof seen, NULL,
                           0);
  (void)sodium_bin2hex(ret_host, IG_NODE_HOST_BYTES, hash, sizeof hash);
}

/* ---- build ------------------------------------------------------------------------- */

static char build[sizeof IGLOO_VERSION + 2 * 64 + 2] = IGLOO_VERSION;
static pthread_once_t build_once = PTHREAD_ONCE_INIT;

/* The linker's note in a segment of notes: padded to four bytes each. */
static bool read_note(const uint8_t *at, size_t len) {
  while (len >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    memcpy(&note, at, sizeof note);
    size_t name = ((size_t)note.n_namesz + 3) & ~(size_t)3;
    size_t bytes = sizeof note + name + (((size_t)note.n_descsz + 3) & ~(size_t)3);
    if (bytes > len) return false;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz <= 64 &&
        memcmp(at + sizeof note, "GNU", 4) == 0) {
      size_t used = strlen(build);
      build[used] = '+';
      (void)sodium_bin2hex(build + used + 1, sizeof build - used - 1,
                           at + sizeof note + name, note.n_descsz);
      return true;
    }
    at += bytes;
    len -= bytes;
  }
  return false;
}

/* True once the object that holds this very code was looked at. */
static int look_at_object(struct dl_phdr_info *info, size_t info_bytes IG_UNUSED,
                          void *ctx IG_UNUSED) {
  uintptr_t own = (uintptr_t)&build_once;
  bool is_ours = false;
  for (size_t i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    uintptr_t from = info->dlpi_addr + part->p_vaddr;
    if (part->p_type == PT_LOAD && own >= from && own < from + part->p_memsz)
      is_ours = true;
  }
  for (size_t i = 0; is_ours && i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    const uint8_t *at = (const uint8_t *)(info->dlpi_addr + part->p_vaddr);
    if (part->p_type == PT_NOTE && read_note(at, part->p_memsz)) break;
  }
  return is_ours;
}

static void find_build(void) {
  (void)dl_iterate_phdr(look_at_object, NULL);
}

const char *ig_cluster_build(void) {
  IG_ASSERT(pthread_once(&build_once, find_build) == 0);
  return build;
}
