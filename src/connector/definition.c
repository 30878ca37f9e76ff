/*
 * definition.c -- what ATTACH said as bytes for another process of this cluster, and
 * whether another host could make anything of it.
 */
#include <igloo/connector.h>

#include "base/limits.h"
#include "base/protobuf.h"
#include "connector/internal.h"

struct message {
  struct ig_str name, type, uri;
  bool read_only;
  int64_t version;
  IG_PROTOBUF_LIST(struct ig_protobuf_pair) options;
  IG_PROTOBUF_LIST(struct ig_protobuf_pair) secrets;
};
static const struct ig_protobuf_field fields[] = {
    IG_PROTOBUF_FIELD(1, STRING, message, name),
    IG_PROTOBUF_FIELD(2, STRING, message, type),
    IG_PROTOBUF_FIELD(3, STRING, message, uri),
    IG_PROTOBUF_FIELD(4, BOOL, message, read_only),
    IG_PROTOBUF_FIELD(5, INT64, message, version),
    IG_PROTOBUF_FIELD_NESTED_REPEATED(6, message, options, ig_protobuf_pair),
    IG_PROTOBUF_FIELD_NESTED_REPEATED(7, message, secrets, ig_protobuf_pair),
};
static const struct ig_protobuf_message definition_message =
    IG_PROTOBUF_MESSAGE("igloo.connector.Definition", message, fields);

static struct ig_protobuf_pair *to_pairs(const struct ig_source_option *options,
                                         size_t count) {
  struct ig_protobuf_pair *pairs = ig_calloc(count + 1, sizeof(*pairs));
  for (size_t i = 0; pairs && i < count; i++)
    pairs[i] = (struct ig_protobuf_pair){ig_str_from_cstr(options[i].key),
                                         ig_str_from_cstr(options[i].value)};
  return pairs;
}

igloo_status ig_definition_encode(const struct ig_source_definition *definition,
                                  struct ig_buf *out, struct igloo_error *reterr) {
  struct ig_protobuf_pair *options =
      to_pairs(definition->options, definition->options_count);
  struct ig_protobuf_pair *secrets =
      to_pairs(definition->secrets, definition->secrets_count);
  if (options && secrets) {
    struct message message = {.name = ig_str_from_cstr(definition->name),
                              .type = ig_str_from_cstr(definition->type),
                              .uri = ig_str_from_cstr(definition->uri),
                              .read_only = definition->read_only,
                              .version = definition->version,
                              .options = {options, definition->options_count},
                              .secrets = {secrets, definition->secrets_count}};
    ig_protobuf_encode(&definition_message, &message, out);
  }
  bool done = options && secrets;
  ig_free(options);
  ig_free(secrets);
  return done ? ig_buf_check(out, reterr) : ig_fail_oom(reterr);
}

static igloo_status to_options(const struct ig_protobuf_pair *pairs, size_t count,
                               ig_arena *arena,
                               const struct ig_source_option **ret_options,
                               struct igloo_error *reterr) {
  struct ig_source_option *options =
      ig_arena_alloc(arena, (count + 1) * sizeof(*options));
  if (!options) return ig_arena_fail(arena, reterr);
  for (size_t i = 0; i < count; i++) {
    options[i].key = ig_arena_strdup(arena, pairs[i].key);
    options[i].value = ig_arena_strdup(arena, pairs[i].value);
    if (!options[i].key || !options[i].value) return ig_arena_fail(arena, reterr);
  }
  *ret_options = options;
  return IGLOO_OK;
}

igloo_status ig_definition_decode(struct ig_str bytes, ig_arena *arena,
                                  struct ig_source_definition *ret_definition,
                                  struct igloo_error *reterr) {
  struct message message = {0};
  struct ig_source_definition out = {0};
  IG_TRY(ig_protobuf_decode(&definition_message, bytes, arena, &message, reterr));
  if (!message.name.len || !message.type.len ||
      message.options.len > IG_SOURCE_OPTIONS_MAX ||
      message.secrets.len > IG_SOURCE_OPTIONS_MAX)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "these bytes are no definition of a source");
  out.name = ig_arena_strdup(arena, message.name);
  out.type = ig_arena_strdup(arena, message.type);
  out.uri = ig_arena_strdup(arena, message.uri);
  if (!out.name || !out.type || !out.uri) return ig_arena_fail(arena, reterr);
  IG_TRY(to_options(message.options.items, message.options.len, arena, &out.options,
                    reterr));
  IG_TRY(to_options(message.secrets.items, message.secrets.len, arena, &out.secrets,
                    reterr));
  out.options_count = message.options.len;
  out.secrets_count = message.secrets.len;
  out.read_only = message.read_only;
  out.version = message.version;
  *ret_definition = out;
  return IGLOO_OK;
}

/* ---- where it is ------------------------------------------------------------------- */

/* One of a list of hosts, perhaps with a port. */
static bool is_near_host(struct ig_str host) {
  static const char *const starts[] = {"localhost", "127.", "[::1]", "::1",
                                       "/",         "@",    "%2f"};
  if (host.len == 0 || host.data[0] == ':') return true;
  for (size_t i = 0; i < IG_ARRAY_LEN(starts); i++) {
    struct ig_str start = ig_str_from_cstr(starts[i]);
    if (host.len >= start.len && ig_str_eq_ci(ig_str_sub(host, 0, start.len), start))
      return true;
  }
  return false;
}

static bool has_near_host(struct ig_str hosts) {
  for (struct ig_str host, rest = hosts; true; hosts = rest) {
    bool more = ig_str_split(hosts, ',', &host, &rest);
    if (is_near_host(more ? host : hosts)) return true;
    if (!more) return false;
  }
}

/* The value of `key=` in a query or a list of keywords; false: it is not there. */
static bool find_value(struct ig_str text, const char *key, struct ig_str *ret_value) {
  struct ig_str wanted = ig_str_from_cstr(key);
  for (size_t at = 0; at + wanted.len < text.len; at++) {
    bool begins = at == 0 || strchr(" ?&", text.data[at - 1]);
    if (!begins || text.data[at + wanted.len] != '=' ||
        !ig_str_eq(ig_str_sub(text, at, wanted.len), wanted))
      continue;
    size_t from = at + wanted.len + 1, to = from;
    if (from < text.len && text.data[from] == '\'') from++, to++;
    while (to < text.len && !strchr(" &'", text.data[to])) to++;
    *ret_value = ig_str_sub(text, from, to - from);
    return true;
  }
  return false;
}

bool ig_uri_is_near(const char *uri) {
  static const char *const files[] = {"sslrootcert", "sslcert", "sslkey", "passfile",
                                      "service"};
  static const char *const keys[] = {"host", "hostaddr"};
  struct ig_str text = ig_str_from_cstr(uri), value;
  bool is_named = false;
  for (size_t i = 0; i < IG_ARRAY_LEN(files); i++)
    if (find_value(text, files[i], &value)) return true;
  for (size_t i = 0; i < IG_ARRAY_LEN(keys); i++) {
    if (!find_value(text, keys[i], &value)) continue;
    if (has_near_host(value)) return true;
    is_named = true;
  }
  size_t scheme = ig_str_find(text, IG_STR("://"));
  if (scheme == IG_STR_NONE) return !is_named;
  text = ig_str_sub(text, scheme + 3, text.len);
  size_t end = 0;
  while (end < text.len && !strchr("/?", text.data[end])) end++;
  text = ig_str_sub(text, 0, end);
  for (size_t i = text.len; i > 0; i--) {
    if (text.data[i - 1] != '@') continue;
    text = ig_str_sub(text, i, text.len);
    break;
  }
  return text.len == 0 ? !is_named : has_near_host(text);
}
