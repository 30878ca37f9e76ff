/*
 * certificate.h -- whether the certificate that this process will show is a member's.
 *
 * Owns: nothing. Threads: thread-safe. Blocks: in reading the file.
 */
#ifndef IG_CLUSTER_CERTIFICATE_H
#define IG_CLUSTER_CERTIFICATE_H

#include "cluster/members.h"

/* The first certificate of a PEM file must name the role: others would refuse our calls
 * one by one. Returns INVALID_ARGUMENT 22023 (hint: what it must say); what the system
 * says of the file; NOT_FOUND without OpenSSL. */
IG_NODISCARD igloo_status ig_certificate_check_role(const char *path,
                                                    enum ig_member_role role,
                                                    struct igloo_error *reterr);

#endif
