/*
 * loop.h -- one epoll thread: descriptors, timers, tasks from other threads.
 *
 * Owns:    its thread and descriptors; sources, timers and tasks are embedded in their
 *          owners, who take them out before they go.
 * Threads: ig_loop_post and ig_loop_modify from any thread; add, remove and timers on the
 *          loop's own thread, or before it starts.
 * Blocks:  only the loop's thread, in epoll_wait; stop, until that thread ended.
 */
#ifndef IG_RPC_LOOP_H
#define IG_RPC_LOOP_H

#include "base/error.h"
#include "base/mem.h"

typedef struct ig_loop ig_loop;

/* A descriptor: `ready` gets epoll's events. It may remove and free its own source. */
struct ig_loop_source {
  void (*ready)(struct ig_loop_source *source, uint32_t events);
};

struct ig_loop_timer {
  int64_t due_us; /* of ig_now_us() */
  size_t place;   /* in the heap, from 1; 0: not set */
  void (*fire)(struct ig_loop_timer *timer);
};

struct ig_loop_task {
  struct ig_loop_task *next;
  bool is_posted; /* guarded by the loop's mutex */
  void (*run)(struct ig_loop_task *task);
};

IG_NODISCARD igloo_status ig_loop_new(ig_loop **ret_loop, struct igloo_error *reterr);
/* The thread must have ended. */
ig_loop *ig_loop_free(ig_loop *loop);
IG_DEFINE_AUTO(ig_loop, ig_loop_free)

IG_NODISCARD igloo_status ig_loop_start(ig_loop *loop, const char *name,
                                        struct igloo_error *reterr);
/* Run what is posted, then end the thread and join it. Where none runs, this one does. */
void ig_loop_stop(ig_loop *loop);

/* Events as epoll's, level-triggered. */
IG_NODISCARD igloo_status ig_loop_add(ig_loop *loop, int fd, uint32_t events,
                                      struct ig_loop_source *source,
                                      struct igloo_error *reterr);
void ig_loop_modify(ig_loop *loop, int fd, uint32_t events,
                    struct ig_loop_source *source);
void ig_loop_remove(ig_loop *loop, int fd);

/* Run the task on the loop's thread, soon; once, if it is posted already. */
void ig_loop_post(ig_loop *loop, struct ig_loop_task *task);

/* IG_NEVER_US takes the timer out. Setting one allocates nothing: whoever has a timer
 * holds a place for it, taken by ig_loop_timer_hold and given back by ig_loop_timer_drop
 * (which takes it out too). */
void ig_loop_timer_set(ig_loop *loop, struct ig_loop_timer *timer, int64_t due_us);
IG_NODISCARD igloo_status ig_loop_timer_hold(ig_loop *loop, struct igloo_error *reterr);
void ig_loop_timer_drop(ig_loop *loop, struct ig_loop_timer *timer);

/* Whether this thread is one of a loop's: there nothing may wait. */
bool ig_loop_is_here(void);

/* 256 KiB to read into, for the loop's thread. */
#define IG_LOOP_BUFFER_BYTES ((size_t)256 * 1024)
uint8_t *ig_loop_buffer(ig_loop *loop);

#endif
