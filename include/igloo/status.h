/*
 * status.h -- what a call of Igloo answers, and the details of a failure.
 *
 * Generated from src/base/errors.def by tools/gen-status.py; do not edit.
 *
 * Owns:    nothing; struct igloo_error belongs to the caller and needs no free.
 * Threads: thread-safe as long as each struct igloo_error has one writer.
 * Blocks:  never.
 */
#ifndef IGLOO_STATUS_H
#define IGLOO_STATUS_H

#include <assert.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers are part of the ABI and never change; a newer library may return
 * one that is not listed here, to be read as IGLOO_INTERNAL. */
typedef enum igloo_status {
  /* The call did what it promises. SQLSTATE 00000. */
  IGLOO_OK = 0,
  /* An argument, option or parameter is not acceptable. SQLSTATE 22023. */
  IGLOO_INVALID_ARGUMENT = 1,
  /* The SQL text does not follow the grammar; line and column say where. SQLSTATE 42601. */
  IGLOO_SYNTAX_ERROR = 2,
  /* A named object, column or file does not exist or may not be seen. SQLSTATE 42704. */
  IGLOO_NOT_FOUND = 3,
  /* An object or file of that name exists already. SQLSTATE 42P07. */
  IGLOO_ALREADY_EXISTS = 4,
  /* The identity lacks the right that this needs. SQLSTATE 42501. */
  IGLOO_PERMISSION_DENIED = 5,
  /* The credentials are missing, wrong or expired. SQLSTATE 28000. */
  IGLOO_UNAUTHENTICATED = 6,
  /* The feature is not built or not possible here. SQLSTATE 0A000. */
  IGLOO_UNSUPPORTED = 7,
  /* A value cannot be computed or converted, as in a division by zero. SQLSTATE 22000. */
  IGLOO_DATA_ERROR = 8,
  /* A row breaks a constraint of its table. SQLSTATE 23000. */
  IGLOO_CONSTRAINT = 9,
  /* Memory could not be allocated. SQLSTATE 53200. */
  IGLOO_OUT_OF_MEMORY = 10,
  /* A limit was reached; the message names it. SQLSTATE 53000. */
  IGLOO_RESOURCE_EXHAUSTED = 11,
  /* The statement was cancelled. SQLSTATE 57014. */
  IGLOO_CANCELLED = 12,
  /* The time limit passed before the work was done. SQLSTATE 57014. */
  IGLOO_DEADLINE_EXCEEDED = 13,
  /* The other side could not be reached or went away. SQLSTATE 08006. */
  IGLOO_UNAVAILABLE = 14,
  /* The operating system refused to read or write. SQLSTATE 58030. */
  IGLOO_IO_ERROR = 15,
  /* The object is not in the state that this call needs. SQLSTATE 55000. */
  IGLOO_FAILED_PRECONDITION = 16,
  /* Stored data is damaged. SQLSTATE XX001. */
  IGLOO_DATA_LOSS = 17,
  /* A defect in Igloo; please report it. SQLSTATE XX000. */
  IGLOO_INTERNAL = 18,
  /* The handle was closed before this call. SQLSTATE 08003. */
  IGLOO_CLOSED = 19
} igloo_status;

/* Filled by a function that fails and was given one; untouched on success. All
 * texts are UTF-8 and end with NUL. The size is fixed: reserved bytes are zero
 * and make room for what later versions add. */
struct igloo_error {
  igloo_status status;
  char sqlstate[6];  /* five characters, after PostgreSQL's list */
  uint8_t retryable; /* 1: the same call may work later */
  uint8_t reserved0;
  int32_t line;   /* position in the SQL text, 1-based; 0 is unknown */
  int32_t column; /* in characters, 1-based; 0 is unknown */
  char message[1024]; /* what happened, lower case, without a full stop */
  char detail[1024];  /* sentences, or empty */
  char hint[512];     /* what can be done about it, sentences, or empty */
  uint8_t reserved[108];
};

#if defined(__cplusplus) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L)
static_assert(sizeof(igloo_status) == 4, "igloo_status crosses to other languages");
static_assert(sizeof(struct igloo_error) == 2688, "struct igloo_error is part of the ABI");
#endif

/* The name of a status, as in "NOT_FOUND"; "INTERNAL" for an unlisted number.
 * Borrowed for ever. */
const char *igloo_status_name(igloo_status status);

#ifdef __cplusplus
}
#endif

#endif
