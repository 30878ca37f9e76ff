/* load.c -- the library itself: what it shows and how it is initialised. */
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conformance.h"

AdbcDriverInitFunc load_library(void) {
  void *library = dlopen(setup.library, RTLD_NOW | RTLD_LOCAL);
  EXPECT(library, "%s", dlerror());
  void *found = dlsym(library, setup.entry ? setup.entry : "AdbcDriverInit");
  EXPECT(found, "%s", dlerror());
  AdbcDriverInitFunc init = NULL;
  memcpy(&init, &found, sizeof(init)); /* how C gets a function from dlsym() */
  return init;
}

/* ---- symbols
 * --------------------------------------------------------------------------- */

static void check_section(const char *file, const Elf64_Ehdr *header,
                          const Elf64_Shdr *section) {
  const Elf64_Shdr *all = (const void *)(file + header->e_shoff);
  const Elf64_Sym *symbols = (const void *)(file + section->sh_offset);
  const char *names = file + all[section->sh_link].sh_offset;
  size_t count = section->sh_size / sizeof(*symbols), adbc = 0;
  for (size_t i = 0; i < count; i++) {
    int bind = ELF64_ST_BIND(symbols[i].st_info);
    const char *name = names + symbols[i].st_name;
    if (symbols[i].st_shndx == SHN_UNDEF || symbols[i].st_shndx == SHN_ABS ||
        (bind != STB_GLOBAL && bind != STB_WEAK))
      continue;
    EXPECT(strncmp(name, "Adbc", 4) == 0, "it shows \"%s\"", name);
    adbc++;
  }
  EXPECT(adbc > 0, "it shows no function of ADBC");
}

static void shows_the_functions_of_adbc_only(void) {
  int fd = open(setup.library, O_RDONLY | O_CLOEXEC);
  struct stat about;
  EXPECT(fd >= 0 && fstat(fd, &about) == 0, "cannot read %s", setup.library);
  const char *file = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  EXPECT(file != MAP_FAILED, "cannot map %s", setup.library);
  const Elf64_Ehdr *header = (const void *)file;
  EXPECT(memcmp(header->e_ident, ELFMAG, SELFMAG) == 0, "not an ELF file");
  const Elf64_Shdr *sections = (const void *)(file + header->e_shoff);
  for (int i = 0; i < header->e_shnum; i++)
    if (sections[i].sh_type == SHT_DYNSYM) {
      check_section(file, header, &sections[i]);
      return;
    }
  fail("it has no table of symbols");
}

/* ---- init
 * ------------------------------------------------------------------------------ */

static void init_refuses_a_version_that_nobody_knows(void) {
  AdbcDriverInitFunc init = load_library();
  EXPECT(init(42, &driver, &error) != ADBC_STATUS_OK, "version 42 went well");
}

static void init_fills_every_function_of_1_1(void) {
  AdbcDriverInitFunc init = load_library();
  memset(&driver, 0, sizeof(driver));
  expect_ok(init(ADBC_VERSION_1_1_0, &driver, &error), "init");
  void *slots[sizeof(driver) / sizeof(void *)];
  memcpy(slots, &driver, sizeof(slots));
  for (size_t i = offsetof(struct AdbcDriver, DatabaseInit) / sizeof(void *);
       i < sizeof(slots) / sizeof(slots[0]); i++)
    EXPECT(slots[i], "slot %zu of struct AdbcDriver is NULL", i);
}

/* A manager of 1.0 gives memory for the struct of 1.0. */
static void init_of_1_0_leaves_what_is_behind_alone(void) {
  AdbcDriverInitFunc init = load_library();
  memset(&driver, 0x5a, sizeof(driver));
  expect_ok(init(ADBC_VERSION_1_0_0, &driver, &error), "init");
  const unsigned char *bytes = (const unsigned char *)&driver;
  for (size_t i = ADBC_DRIVER_1_0_0_SIZE; i < sizeof(driver); i++)
    EXPECT(bytes[i] == 0x5a, "byte %zu was written", i);
  EXPECT(driver.DatabaseNew && driver.StatementExecuteQuery, "functions are missing");
}

static void init_works_twice(void) {
  AdbcDriverInitFunc init = load_library();
  struct AdbcDriver second = {0};
  expect_ok(init(ADBC_VERSION_1_1_0, &driver, &error), "init");
  expect_ok(init(ADBC_VERSION_1_1_0, &second, &error), "the second init");
  if (second.release) expect_ok(second.release(&second, &error), "release");
  struct world world;
  open_world(&world);
  close_world(&world);
}

const struct check load_checks[] = {
    {"shows_the_functions_of_adbc_only", shows_the_functions_of_adbc_only},
    {"init_refuses_a_version_that_nobody_knows",
     init_refuses_a_version_that_nobody_knows},
    {"init_fills_every_function_of_1_1", init_fills_every_function_of_1_1},
    {"init_of_1_0_leaves_what_is_behind_alone", init_of_1_0_leaves_what_is_behind_alone},
    {"init_works_twice", init_works_twice},
    {NULL, NULL}};
