/* output.c -- see output.h. */
#include "rpc/output.h"

#include "base/mem.h"

struct ig_rpc_output_memory {
  struct iovec parts[IG_RPC_OUTPUT_PARTS];
  struct ig_rpc_outgoing *owners[IG_RPC_OUTPUT_PARTS]; /* NULL: bytes of the arena */
  uint8_t copies[IG_RPC_OUTPUT_COPY_BYTES];
};

/* Most connections need the memory for a moment only. */
static struct ig_spare spare;

/* The part that a message is at: the prefix, or a piece of the caller's. */
static struct iovec current_part(const struct ig_rpc_outgoing *message) {
  union { /* sendmsg only reads */
    const uint8_t *bytes;
    void *base;
  } prefix = {.bytes = message->prefix};
  if (message->part == 0) return (struct iovec){prefix.base, IG_RPC_PREFIX_BYTES};
  return message->pieces.parts[message->part - 1];
}

size_t ig_rpc_outgoing_measure(const struct ig_rpc_outgoing *list, size_t bytes_max,
                               bool *ret_is_all) {
  size_t bytes = 0;
  size_t parts = 0;
  *ret_is_all = false;
  for (const struct ig_rpc_outgoing *message = list; message; message = message->next) {
    struct ig_rpc_outgoing at = *message;
    for (; at.part <= at.pieces.parts_len; at.part++, at.offset = 0) {
      if (parts == IG_RPC_FRAME_PARTS_MAX) return bytes;
      size_t len = current_part(&at).iov_len - at.offset;
      if (len > bytes_max - bytes) return bytes_max;
      bytes += len;
      parts += len > 0;
    }
  }
  *ret_is_all = true;
  return bytes;
}

bool ig_rpc_outgoing_is_begun(const struct ig_rpc_outgoing *message) {
  return message->part > 0 || message->offset > 0;
}

uint64_t ig_rpc_outgoing_left(const struct ig_rpc_outgoing *message) {
  uint64_t bytes = 0;
  struct ig_rpc_outgoing at = *message;
  for (; at.part <= at.pieces.parts_len; at.part++, at.offset = 0)
    bytes += current_part(&at).iov_len - at.offset;
  return bytes;
}

igloo_status ig_rpc_output_open(struct ig_rpc_output *output,
                                struct igloo_error *reterr) {
  if (output->memory) return IGLOO_OK;
  output->memory = ig_spare_take(&spare, sizeof(*output->memory));
  return output->memory ? IGLOO_OK : ig_fail_oom(reterr);
}

static void release_if_done(struct ig_rpc_outgoing *message,
                            struct ig_rpc_outgoing **released) {
  if (!message->is_framed || message->unsent_parts > 0) return;
  message->next = *released;
  *released = message;
}

void ig_rpc_outgoing_drop(struct ig_rpc_outgoing *message,
                          struct ig_rpc_outgoing **released) {
  message->is_framed = true;
  release_if_done(message, released);
}

void ig_rpc_output_close(struct ig_rpc_output *output,
                         struct ig_rpc_outgoing **released) {
  if (output->bytes > 0) ig_rpc_output_sent(output, output->bytes, released);
  if (output->memory) {
    explicit_bzero(output->memory->copies, output->copied_most); /* headers */
    ig_spare_give(&spare, output->memory, sizeof(*output->memory));
  }
  *output = (struct ig_rpc_output){0};
}

bool ig_rpc_output_has_room(const struct ig_rpc_output *output, size_t bytes_max) {
  return output->bytes < bytes_max &&
         output->len + IG_RPC_FRAME_PARTS_MAX + 1 < IG_RPC_OUTPUT_PARTS &&
         output->copied + IG_RPC_OUTPUT_FRAME_BYTES <= IG_RPC_OUTPUT_COPY_BYTES;
}

void ig_rpc_output_copy(struct ig_rpc_output *output, const void *bytes, size_t len) {
  struct ig_rpc_output_memory *memory = output->memory;
  IG_ASSERT(output->copied + len <= IG_RPC_OUTPUT_COPY_BYTES &&
            output->len < IG_RPC_OUTPUT_PARTS);
  uint8_t *copy = memory->copies + output->copied;
  memcpy(copy, bytes, len);
  output->copied += len;
  if (output->copied > output->copied_most) output->copied_most = output->copied;
  output->bytes += len;
  if (output->len > output->first) {
    struct iovec *last = &memory->parts[output->len - 1];
    if ((uint8_t *)last->iov_base + last->iov_len == copy) {
      last->iov_len += len;
      return;
    }
  }
  memory->parts[output->len] = (struct iovec){copy, len};
  memory->owners[output->len++] = NULL;
}

static void refer_part(struct ig_rpc_output *output, struct ig_rpc_outgoing *message,
                       uint8_t *bytes, size_t len) {
  IG_ASSERT(output->len < IG_RPC_OUTPUT_PARTS);
  output->memory->parts[output->len] = (struct iovec){bytes, len};
  output->memory->owners[output->len++] = message;
  output->bytes += len;
  message->unsent_parts++;
}

void ig_rpc_output_refer(struct ig_rpc_output *output, struct ig_rpc_outgoing **list,
                         size_t len) {
  while (*list) {
    struct ig_rpc_outgoing *message = *list;
    while (message->part <= message->pieces.parts_len) {
      struct iovec part = current_part(message);
      size_t left = part.iov_len - message->offset;
      if (left > len) left = len;
      if (left > 0)
        refer_part(output, message, (uint8_t *)part.iov_base + message->offset, left);
      len -= left;
      message->offset += left;
      if (message->offset < part.iov_len) return;
      message->part++;
      message->offset = 0;
    }
    message->is_framed = true;
    *list = message->next;
    message->next = NULL;
    if (len == 0) return;
  }
}

size_t ig_rpc_output_parts(const struct ig_rpc_output *output, struct iovec **ret_parts) {
  *ret_parts = output->memory->parts + output->first;
  return output->len - output->first;
}

void ig_rpc_output_sent(struct ig_rpc_output *output, size_t bytes,
                        struct ig_rpc_outgoing **released) {
  output->bytes -= bytes;
  while (bytes > 0) {
    struct iovec *part = &output->memory->parts[output->first];
    if (bytes < part->iov_len) {
      part->iov_base = (uint8_t *)part->iov_base + bytes;
      part->iov_len -= bytes;
      return;
    }
    bytes -= part->iov_len;
    struct ig_rpc_outgoing *owner = output->memory->owners[output->first++];
    if (!owner) continue;
    owner->unsent_parts--;
    release_if_done(owner, released);
  }
  if (output->bytes == 0) output->first = output->len = output->copied = 0;
}
