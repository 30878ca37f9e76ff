/* files.c -- see files.h. */
#include "cluster/files.h"

#include <unistd.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"

/* What one member said of one list of files. */
struct kept {
  XXH128_hash_t digest; /* of its id and the list */
  int64_t until_us;     /* 0: nothing is kept here */
  struct ig_check_files_answer answer;
};

struct ig_files_asker {
  ig_channels *channels;                       /* borrowed */
  pthread_mutex_t mu;                          /* a leaf lock */
  struct kept kept[IG_CLUSTER_FILES_KEPT_MAX]; /* guarded by mu, as the next */
  size_t next;                                 /* to be replaced */
};

igloo_status ig_files_asker_new(ig_channels *channels, ig_files_asker **ret_asker,
                                struct igloo_error *reterr) {
  ig_files_asker *asker = ig_calloc(1, sizeof(*asker));
  if (!asker) return ig_fail_oom(reterr);
  asker->channels = channels;
  ig_mutex_init(&asker->mu);
  *ret_asker = asker;
  return IGLOO_OK;
}

ig_files_asker *ig_files_asker_free(ig_files_asker *asker) {
  if (!asker) return NULL;
  ig_mutex_done(&asker->mu);
  ig_free(asker);
  return NULL;
}

/* --- kept answers */

static XXH128_hash_t digest_of(struct ig_str id, XXH128_hash_t files) {
  return XXH3_128bits_withSeed(id.data, id.len, files.low64 ^ files.high64);
}

static XXH128_hash_t digest_files(const struct ig_cluster_file *files, size_t count) {
  XXH128_hash_t digest = {0};
  for (size_t i = 0; i < count; i++) {
    const uint64_t words[] = {digest.low64, digest.high64, files[i].size,
                              (uint64_t)files[i].mtime_ns, files[i].path.len};
    digest = XXH3_128bits(words, sizeof(words));
    XXH128_hash_t path = XXH3_128bits(files[i].path.data, files[i].path.len);
    digest.low64 ^= path.low64;
    digest.high64 ^= path.high64;
  }
  return digest;
}

static bool recall(struct ig_files_asker *asker, XXH128_hash_t digest,
                   struct ig_check_files_answer *ret_answer) {
  int64_t now_us = ig_now_us();
  IG_LOCK_SCOPE(&asker->mu);
  for (size_t i = 0; i < IG_CLUSTER_FILES_KEPT_MAX; i++) {
    const struct kept *kept = &asker->kept[i];
    if (kept->until_us <= now_us || !XXH128_isEqual(kept->digest, digest)) continue;
    *ret_answer = kept->answer;
    return true;
  }
  return false;
}

static void keep(struct ig_files_asker *asker, XXH128_hash_t digest,
                 const struct ig_check_files_answer *answer) {
  IG_LOCK_SCOPE(&asker->mu);
  asker->kept[asker->next] =
      (struct kept){digest, ig_deadline_in(IG_CLUSTER_FILES_KEPT_US), *answer};
  asker->next = (asker->next + 1) % IG_CLUSTER_FILES_KEPT_MAX;
}

/* --- asking */

/* A member that is asked. */
struct question {
  ig_rpc_call *call; /* NULL: it need not be asked, or could not be */
  XXH128_hash_t digest;
  bool is_answered;
  struct ig_check_files_answer answer;
};

static void begin_question(struct ig_files_asker *asker, struct question *question,
                           struct ig_str id, const struct ig_cluster_file *files,
                           size_t count, int64_t deadline_us) {
  if (recall(asker, question->digest, &question->answer)) {
    question->is_answered = true;
    return;
  }
  IG_AUTO_DONE(ig_buf) message = IG_BUF_INIT(IG_CLUSTER_FILES_BYTES_MAX);
  ig_check_files_write(files, count, &message);
  /* One that cannot be asked has none. */
  (void)!ig_channels_call(asker->channels, id, IG_WORKER_CHECK_FILES, deadline_us,
                          &message, true, &question->call, NULL);
}

static void end_question(struct ig_files_asker *asker, struct question *question,
                         size_t count) {
  struct ig_rpc_message message = {0};
  bool got = false;
  if (!question->call) return;
  igloo_status status = ig_rpc_call_receive(question->call, &message, &got, NULL);
  if (status == IGLOO_OK && got)
    status =
        ig_check_files_answer_read(ig_str_make((const char *)message.data, message.len),
                                   count, &question->answer, NULL);
  question->is_answered = status == IGLOO_OK && got;
  if (question->is_answered) keep(asker, question->digest, &question->answer);
  ig_rpc_message_done(&message);
  question->call = ig_rpc_call_unref(question->call);
}

static char *word_reason(const struct question *question, struct ig_str id,
                         const struct ig_cluster_file *files) {
  if (!question->is_answered)
    return ig_asprintf("worker \"%.*s\" did not answer", IG_STR_ARG(id));
  static const char *const lacks[] = {
      [IG_FILES_ALL_THERE] = "has", /* not said */
      [IG_FILES_MISSING] = "has no",
      [IG_FILES_DIFFERENT] = "has another",
      [IG_FILES_NOT_ALLOWED] = "may not read",
      [IG_FILES_NOT_READABLE] = "cannot read",
  };
  struct ig_str path = files[question->answer.index].path;
  return ig_asprintf("worker \"%.*s\" %s file \"%.*s\"", IG_STR_ARG(id),
                     lacks[question->answer.lack], IG_STR_ARG(path));
}

igloo_status ig_files_ask(ig_files_asker *asker, const struct ig_cluster_member *members,
                          size_t members_count, const struct ig_cluster_file *files,
                          size_t count, bool *ret_has, char **ret_reason,
                          struct igloo_error *reterr) {
  struct question *questions = ig_calloc(members_count + 1, sizeof(*questions));
  if (!questions) return ig_fail_oom(reterr);
  XXH128_hash_t digest = digest_files(files, count);
  int64_t deadline_us = ig_deadline_in(IG_CLUSTER_FILES_US);
  for (size_t i = 0; i < members_count; i++) {
    struct question *question = &questions[i];
    question->digest = digest_of(members[i].id, digest);
    question->is_answered = members[i].is_self || count == 0;
    if (!question->is_answered)
      begin_question(asker, question, members[i].id, files, count, deadline_us);
  }
  char *reason = NULL;
  igloo_status status = IGLOO_OK;
  for (size_t i = 0; i < members_count; i++) {
    struct question *question = &questions[i];
    end_question(asker, question, count);
    ret_has[i] = question->is_answered && question->answer.lack == IG_FILES_ALL_THERE;
    if (ret_has[i] || reason || status != IGLOO_OK) continue;
    reason = word_reason(question, members[i].id, files);
    if (!reason) status = ig_fail_oom(reterr);
  }
  ig_free(questions);
  if (status != IGLOO_OK) return status;
  *ret_reason = reason;
  return IGLOO_OK;
}

/* --- looking */

static enum ig_files_lack look_at(const ig_roots *roots,
                                  const struct ig_checked_file *file) {
  IG_AUTO_CHAR *path = NULL;
  struct ig_file_id id = {0};
  IG_AUTO_FD fd = -1;
  igloo_status status = ig_path_absolute(file->path, &path, NULL);
  if (status == IGLOO_OK)
    status = ig_roots_open(roots, path, IG_ACCESS_READ, &fd, &id, NULL);
  if (status == IGLOO_NOT_FOUND) return IG_FILES_MISSING;
  if (status == IGLOO_PERMISSION_DENIED) return IG_FILES_NOT_ALLOWED;
  if (status != IGLOO_OK) return IG_FILES_NOT_READABLE;
  bool is_same = id.size == file->size && id.mtime_ns == file->mtime_ns;
  return is_same ? IG_FILES_ALL_THERE : IG_FILES_DIFFERENT;
}

struct ig_check_files_answer ig_files_look(const ig_roots *roots,
                                           const struct ig_check_files *request) {
  struct ig_check_files_answer answer = {0};
  for (size_t i = 0; i < request->files.len; i++) {
    answer.lack = look_at(roots, &request->files.items[i]);
    answer.index = (uint32_t)i;
    if (answer.lack != IG_FILES_ALL_THERE) return answer;
  }
  return (struct ig_check_files_answer){0};
}
