/*
 * zone.h -- offsets of time zones, from the system's zone files.
 *
 * libc knows one zone per process, and changing it is not safe beside the threads of
 * the engine; a column names its own. So the files are read here (RFC 9636, version 2
 * and later), the rule for the years after the last entry included.
 *
 * Owns:    the table of one zone.
 * Threads: a zone may be shared once made.
 * Blocks:  ig_zone_open() reads one small file.
 */
#ifndef IG_ARROW_ZONE_H
#define IG_ARROW_ZONE_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

typedef struct ig_zone ig_zone;

/* Open "UTC", "+05:30", "-0800" or a name of the IANA database.
 * Returns IGLOO_OK and gives *ret_zone (free: ig_zone_free); NOT_FOUND for a name
 * without a file; DATA_ERROR for a file that does not follow the format; OUT_OF_MEMORY.
 */
IG_NODISCARD igloo_status ig_zone_open(struct ig_str name, ig_zone **ret_zone,
                                       struct igloo_error *reterr);
ig_zone *ig_zone_free(ig_zone *zone);
IG_DEFINE_AUTO(ig_zone, ig_zone_free)

/* Seconds east of Greenwich at an instant (seconds since 1970 UTC). */
int32_t ig_zone_offset(const ig_zone *zone, int64_t instant);

#endif
