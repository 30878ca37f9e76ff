/* map.c -- see map.h. Open addressing with linear probing; removal shifts the
 * run after the hole back, so that there are no tombstones. */
#include "base/map.h"

#include <pthread.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/mem.h"

struct ig_map_entry {
  uint64_t hash;
  char *key; /* owned; NULL marks a free slot */
  size_t key_len;
  void *value;
};

static uint64_t hash_key[2];

static void draw_hash_key(void) {
  if (getrandom(hash_key, sizeof(hash_key), GRND_NONBLOCK) == sizeof(hash_key)) return;
  /* Only in the first instants of a machine: the times are better than nothing. */
  hash_key[0] = (uint64_t)ig_now_us() * UINT64_C(0x9e3779b97f4a7c15);
  hash_key[1] = (uint64_t)ig_wall_us() ^ (uintptr_t)&hash_key;
}

static uint64_t rotate(uint64_t x, int bits) {
  return x << bits | x >> (64 - bits);
}

/* Little endian, in one instruction where the processor is. */
static uint64_t load_word(const char *bytes) {
  uint64_t word = 0;
  for (size_t i = 0; i < 8; i++) word |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
  return word;
}

static inline void sip_round(uint64_t v[4]) {
  v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
  v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
  v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
  v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson, Bernstein): one round per word, three at the end. */
uint64_t ig_hash(struct ig_str bytes) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)pthread_once(&once, draw_hash_key);
  uint64_t v[4] = {
      hash_key[0] ^ UINT64_C(0x736f6d6570736575),
      hash_key[1] ^ UINT64_C(0x646f72616e646f6d),
      hash_key[0] ^ UINT64_C(0x6c7967656e657261),
      hash_key[1] ^ UINT64_C(0x7465646279746573),
  };
  for (size_t at = 0;; at += 8) {
    size_t left = bytes.len - at;
    uint64_t word = (uint64_t)bytes.len << 56;
    if (left >= 8)
      word = load_word(bytes.data + at);
    else
      for (size_t i = 0; i < left; i++)
        word |= (uint64_t)(unsigned char)bytes.data[at + i] << (8 * i);
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    if (left < 8) break;
  }
  v[2] ^= 0xff;
  for (int i = 0; i < 3; i++) sip_round(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void ig_map_init(struct ig_map *map, size_t entries_max, void (*value_free)(void *)) {
  *map = (struct ig_map){.max = entries_max, .value_free = value_free};
}

static void free_entry(struct ig_map *map, struct ig_map_entry *entry) {
  if (map->value_free && entry->value) map->value_free(entry->value);
  ig_free(entry->key);
}

void ig_map_done(struct ig_map *map) {
  for (size_t i = 0; i < map->slots_len; i++)
    if (map->slots[i].key) free_entry(map, &map->slots[i]);
  ig_free(map->slots);
  ig_map_init(map, map->max, map->value_free);
}

/* The slot of `key`, or the free slot where it belongs. Needs a free slot. */
static struct ig_map_entry *find_slot(struct ig_map_entry *slots, size_t slots_len,
                                      uint64_t hash, struct ig_str key) {
  for (size_t at = hash & (slots_len - 1);; at = (at + 1) & (slots_len - 1)) {
    struct ig_map_entry *slot = &slots[at];
    if (!slot->key) return slot;
    if (slot->hash == hash && ig_str_eq(key, ig_str_make(slot->key, slot->key_len)))
      return slot;
  }
}

static struct ig_map_entry *find(const struct ig_map *map, struct ig_str key) {
  if (map->count == 0) return NULL;
  struct ig_map_entry *slot = find_slot(map->slots, map->slots_len, ig_hash(key), key);
  return slot->key ? slot : NULL;
}

void *ig_map_get(const struct ig_map *map, struct ig_str key) {
  struct ig_map_entry *entry = find(map, key);
  return entry ? entry->value : NULL;
}

/* Keep a quarter of the slots free. */
static igloo_status grow(struct ig_map *map, struct igloo_error *reterr) {
  if ((map->count + 1) * 4 <= map->slots_len * 3) return IGLOO_OK;
  size_t slots_len = map->slots_len ? map->slots_len * 2 : 16;
  struct ig_map_entry *slots = ig_calloc(slots_len, sizeof(*slots));
  if (!slots) return ig_fail_oom(reterr);
  for (size_t i = 0; i < map->slots_len; i++) {
    struct ig_map_entry *old = &map->slots[i];
    if (!old->key) continue;
    *find_slot(slots, slots_len, old->hash, ig_str_make(old->key, old->key_len)) = *old;
  }
  ig_free(map->slots);
  map->slots = slots;
  map->slots_len = slots_len;
  return IGLOO_OK;
}

static igloo_status insert(struct ig_map *map, struct ig_str key, void *value,
                           struct igloo_error *reterr) {
  if (map->count >= map->max)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "more than %zu entries are not allowed", map->max);
  IG_TRY(grow(map, reterr));
  char *copy = ig_str_dup(key);
  if (!copy) return ig_fail_oom(reterr);
  uint64_t hash = ig_hash(key);
  *find_slot(map->slots, map->slots_len, hash, key) =
      (struct ig_map_entry){hash, copy, key.len, value};
  map->count++;
  return IGLOO_OK;
}

igloo_status ig_map_put(struct ig_map *map, struct ig_str key, void *value,
                        struct igloo_error *reterr) {
  IG_ASSERT(value);
  struct ig_map_entry *entry = find(map, key);
  if (!entry) {
    igloo_status status = insert(map, key, value, reterr);
    if (status != IGLOO_OK && map->value_free) map->value_free(value);
    return status;
  }
  if (map->value_free && entry->value != value) map->value_free(entry->value);
  entry->value = value;
  return IGLOO_OK;
}

void *ig_map_steal(struct ig_map *map, struct ig_str key) {
  struct ig_map_entry *entry = find(map, key);
  if (!entry) return NULL;
  void *value = entry->value;
  ig_free(entry->key);
  map->count--;

  /* Move back each entry of the run that may live in the hole. */
  size_t mask = map->slots_len - 1;
  size_t hole = (size_t)(entry - map->slots);
  for (size_t at = (hole + 1) & mask; map->slots[at].key; at = (at + 1) & mask) {
    size_t home = map->slots[at].hash & mask;
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    map->slots[hole] = map->slots[at];
    hole = at;
  }
  map->slots[hole] = (struct ig_map_entry){0};
  return value;
}

bool ig_map_remove(struct ig_map *map, struct ig_str key) {
  void *value = ig_map_steal(map, key);
  if (value && map->value_free) map->value_free(value);
  return value != NULL;
}

bool ig_map_next(const struct ig_map *map, size_t *at, struct ig_str *ret_key,
                 void **ret_value) {
  while (*at < map->slots_len) {
    const struct ig_map_entry *entry = &map->slots[(*at)++];
    if (!entry->key) continue;
    if (ret_key) *ret_key = ig_str_make(entry->key, entry->key_len);
    if (ret_value) *ret_value = entry->value;
    return true;
  }
  return false;
}
