/*
 * map.h -- a hash map from text to pointers.
 *
 * Keys may come from the network: the hash is SipHash with a key drawn at
 * start, so that nobody can choose colliding names. Keys are compared by
 * bytes; fold them first where case must not matter.
 *
 * Owns:    copies of the keys; the values if a free function was given.
 * Threads: one writer, or any number of readers.
 * Blocks:  never.
 */
#ifndef IG_BASE_MAP_H
#define IG_BASE_MAP_H

#include "base/error.h"
#include "base/str.h"

struct ig_map_entry;

struct ig_map {
  struct ig_map_entry *slots; /* open addressing, a power of two of them */
  size_t slots_len;
  size_t count;
  size_t max;                 /* entries allowed */
  void (*value_free)(void *); /* NULL: values are borrowed */
};

/* Prepare an empty map of at most `entries_max` entries. */
void ig_map_init(struct ig_map *map, size_t entries_max, void (*value_free)(void *value));

/* Free keys, values (by value_free) and slots. The map is then empty. */
void ig_map_done(struct ig_map *map);

/* The value of `key`, or NULL; borrowed until the entry is replaced or removed. */
void *ig_map_get(const struct ig_map *map, struct ig_str key);

/* Set `key` (copied) to `value` (not NULL; takes it, also on failure). A value
 * that was there is freed. Returns OUT_OF_MEMORY or RESOURCE_EXHAUSTED 54000. */
IG_NODISCARD igloo_status ig_map_put(struct ig_map *map, struct ig_str key, void *value,
                                     struct igloo_error *reterr);

/* Remove `key` and free its value. Returns false if it was not there. */
bool ig_map_remove(struct ig_map *map, struct ig_str key);

/* Remove `key` and give its value to the caller; NULL if it was not there. */
void *ig_map_steal(struct ig_map *map, struct ig_str key);

/* Walk in no particular order: start with *at = 0; returns false at the end.
 * Nothing may be put or removed during the walk. Outputs may be NULL. */
bool ig_map_next(const struct ig_map *map, size_t *at, struct ig_str *ret_key,
                 void **ret_value);

/* The keyed hash itself, for other tables. Differs from process to process. */
uint64_t ig_hash(struct ig_str bytes);

#endif
