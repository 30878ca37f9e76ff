#!/usr/bin/env python3
"""Make include/igloo/status.h from src/base/errors.def.

Usage: tools/gen-status.py [--check]
With --check nothing is written; the exit code is 1 if the header is stale.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src/base/errors.def"
TARGET = ROOT / "include/igloo/status.h"

ENTRY = re.compile(
    r'^IG_ERROR\((?P<name>[A-Z_]+), (?P<number>\d+), "(?P<sqlstate>[0-9A-Z]{5})", '
    r'(?P<grpc>\d+), (?P<exit>\d+), "(?P<python>\w*)", "(?P<doc>[^"]+\.)"\)$'
)

HEAD = """\
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
"""

TAIL = """\
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
"""


def render():
    entries = []
    for number, line in enumerate(SOURCE.read_text().splitlines(), 1):
        if not line.startswith("IG_ERROR("):
            continue
        match = ENTRY.match(line)
        if not match:
            sys.exit(f"{SOURCE.relative_to(ROOT)}:{number}: not of the documented form")
        if int(match["number"]) != len(entries):
            sys.exit(f"{SOURCE.relative_to(ROOT)}:{number}: numbers must count up from 0")
        entries.append(match)
    body = ""
    for entry in entries:
        last = entry is entries[-1]
        item = f"  IGLOO_{entry['name']} = {entry['number']}{'' if last else ','}"
        body += f"  /* {entry['doc']} SQLSTATE {entry['sqlstate']}. */\n{item}\n"
    return HEAD + body + TAIL


def main():
    text = render()
    if "--check" in sys.argv[1:]:
        if not TARGET.exists() or TARGET.read_text() != text:
            sys.exit(f"{TARGET.relative_to(ROOT)} is stale: run tools/gen-status.py")
        return
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(text)


main()
