/* users.c -- CREATE, ALTER and DROP USER, KILL, DRAIN WORKER. */
#include <sodium.h>

#include "base/log.h"
#include "session/private.h"
#include "sql/quote.h"

static igloo_status refuse(const char *what, struct igloo_error *reterr) {
  (void)ig_fail(reterr, IGLOO_PERMISSION_DENIED, "permission denied to %s", what);
  ig_error_hint(reterr, "A superuser can; everybody can change their own password.");
  return IGLOO_PERMISSION_DENIED;
}

/* A superuser changes every user; all others their own password. */
static igloo_status check_right(const struct ig_sql_statement *parsed,
                                const struct ig_identity *who, struct ig_str name,
                                struct igloo_error *reterr) {
  if (who->superuser) return IGLOO_OK;
  if (parsed->kind == IG_SQL_CREATE_USER) return refuse("create a user", reterr);
  if (parsed->kind == IG_SQL_DROP_USER) return refuse("drop a user", reterr);
  bool own = who->user_id != 0 && ig_str_eq_cstr(name, who->name);
  bool only_password = !parsed->user.superuser && !parsed->user.nosuperuser;
  return own && only_password ? IGLOO_OK : refuse("alter the user", reterr);
}

static void wipe(char **password) {
  if (*password) sodium_memzero(*password, strlen(*password));
  ig_free(*password);
}

static igloo_status read_change(const struct ig_sql_user *user, char **ret_password,
                                struct ig_user_change *ret_change,
                                struct igloo_error *reterr) {
  *ret_change =
      (struct ig_user_change){.superuser = user->superuser     ? IG_SUPERUSER_YES
                                           : user->nosuperuser ? IG_SUPERUSER_NO
                                                               : IG_SUPERUSER_NOT_SAID};
  if (user->password.len == 0) return IGLOO_OK;
  IG_TRY(ig_sql_string_value(user->password, ret_password, reterr));
  ret_change->password = ig_str_from_cstr(*ret_password);
  return IGLOO_OK;
}

static igloo_status drop_user(ig_session *session, const struct ig_identity *who,
                              struct ig_str name, bool if_exists,
                              struct igloo_error *reterr) {
  int64_t user_id = 0;
  struct ig_identity found;
  if (!ig_users_find(session->parts.users, name, &found) && if_exists) return IGLOO_OK;
  if (who->user_id != 0 && ig_str_eq_cstr(name, who->name))
    return ig_fail_state(reterr, IGLOO_FAILED_PRECONDITION, "55006",
                         "current user cannot be dropped");
  igloo_status status = ig_users_drop(session->parts.users, name, &user_id, reterr);
  if (status == IGLOO_NOT_FOUND && if_exists) return IGLOO_OK;
  if (status != IGLOO_OK) return status;
  ig_registry_end_sessions(session->parts.registry, user_id);
  return IGLOO_OK;
}

static igloo_status change_user(ig_session *session, const struct ig_identity *who,
                                const struct ig_sql_statement *parsed, struct ig_str name,
                                struct igloo_error *reterr) {
  ig_users *users = session->parts.users;
  struct ig_user_change change;
  __attribute__((cleanup(wipe))) char *password = NULL;
  if (parsed->kind == IG_SQL_DROP_USER)
    return drop_user(session, who, name, parsed->if_exists, reterr);
  IG_TRY(read_change(&parsed->user, &password, &change, reterr));
  /* Who changes the own password stays logged in here, and nowhere else. */
  if (who->user_id != 0 && ig_str_eq_cstr(name, who->name))
    change.keeps = session->who.token;
  if (parsed->kind == IG_SQL_CREATE_USER)
    return ig_users_create(users, name, &change, reterr);
  return ig_users_alter(users, name, &change, reterr);
}

igloo_status ig_user_run(ig_session *session, const struct ig_sql_statement *parsed,
                         struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_sql_name) name = {0};
  struct ig_identity who;
  IG_TRY(ig_session_right(session, &who, reterr));
  IG_TRY(ig_sql_name_parse(parsed->name, 1, &name, reterr));
  struct ig_str user = ig_str_from_cstr(name.parts[0]);
  IG_TRY(check_right(parsed, &who, user, reterr));
  IG_TRY(change_user(session, &who, parsed, user, reterr));
  ig_log(IG_LOG_INFO, "user.change", IG_LOG_STR("statement", parsed->feature),
         IG_LOG_VIEW("user", user), IG_LOG_STR("by", who.name));
  return IGLOO_OK;
}

igloo_status ig_kill_run(ig_session *session, const struct ig_sql_statement *parsed,
                         struct igloo_error *reterr) {
  IG_AUTO_CHAR *id = NULL;
  struct ig_identity who;
  IG_TRY(ig_session_right(session, &who, reterr));
  IG_TRY(ig_sql_string_value(parsed->pattern, &id, reterr));
  ig_registry *registry = session->parts.registry;
  if (parsed->kind == IG_SQL_KILL_QUERY)
    return ig_registry_kill_query(registry, &who, ig_str_from_cstr(id), reterr);
  return ig_registry_kill_session(registry, &who, ig_str_from_cstr(id), reterr);
}

igloo_status ig_drain_run(ig_session *session, const struct ig_sql_statement *parsed,
                          struct igloo_error *reterr) {
  IG_AUTO_CHAR *id = NULL;
  struct ig_identity who;
  ig_cluster *cluster = session->parts.cluster;
  IG_TRY(ig_session_right(session, &who, reterr));
  IG_TRY(ig_sql_string_value(parsed->pattern, &id, reterr));
  /* Where nobody logs in, whoever may use the server is all there is. */
  if (!who.superuser && who.user_id != 0) {
    (void)ig_fail(reterr, IGLOO_PERMISSION_DENIED, "only a superuser may drain workers");
    ig_error_hint(reterr, "Ask one, or end the worker by SIGTERM on its own host.");
    return IGLOO_PERMISSION_DENIED;
  }
  if (!cluster) return ig_fail(reterr, IGLOO_NOT_FOUND, "there is no worker \"%s\"", id);
  IG_TRY(ig_members_drain(ig_cluster_members(cluster), ig_str_from_cstr(id), reterr));
  ig_log(IG_LOG_INFO, "drain_worker", IG_LOG_STR("member", id),
         IG_LOG_STR("by", who.name));
  return IGLOO_OK;
}
