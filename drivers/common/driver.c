/* driver.c -- see driver.h. The entry point that a library exports ends here. */
#include "common/driver.h"

#include <string.h>

#include "common/private.h"

/* One library, one backend; set by whoever initialises it, always to the same. */
static const struct igd_backend *_Atomic the_backend;

const struct igd_backend *igd_backend_get(void) {
  return atomic_load(&the_backend);
}

static AdbcStatusCode driver_release(struct AdbcDriver *driver, struct AdbcError *error) {
  (void)error;
  driver->private_data = NULL;
  driver->release = NULL;
  return ADBC_STATUS_OK;
}

AdbcStatusCode igd_driver_init(const struct igd_backend *backend, int version,
                               void *ret_driver, struct AdbcError *ret_error) {
  struct igd_error failed = {0};
  bool with_1_1 = version == ADBC_VERSION_1_1_0;
  if (!ret_driver || (!with_1_1 && version != ADBC_VERSION_1_0_0)) {
    (void)ig_fail(&failed.base, IGLOO_UNSUPPORTED, "version %d of ADBC is not supported",
                  version);
    return igd_error_give(&failed, ret_error);
  }
  atomic_store(&the_backend, backend);
  struct AdbcDriver *driver = ret_driver;
  memset(driver, 0, with_1_1 ? ADBC_DRIVER_1_1_0_SIZE : ADBC_DRIVER_1_0_0_SIZE);
  driver->release = driver_release;
  if (with_1_1) {
    driver->ErrorGetDetailCount = igd_error_detail_count;
    driver->ErrorGetDetail = igd_error_detail;
    driver->ErrorFromArrayStream = igd_error_from_stream;
  }
  igd_fill_database(driver, with_1_1);
  igd_fill_connection(driver, with_1_1);
  igd_fill_statement(driver, with_1_1);
  return ADBC_STATUS_OK;
}
