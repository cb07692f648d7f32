/* SPDX-License-Identifier: MIT */
/* protobuf: the fields of one message, one after the other.
 *
 * Pure: no allocation, nothing is copied. Groups (kinds 3 and 4), which no file of ours has, are
 * broken here.
 */
#ifndef TEXT_PROTOBUF_H
#define TEXT_PROTOBUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum protobuf_kind {
    PROTOBUF_VARINT = 0,
    PROTOBUF_FIXED64 = 1,
    PROTOBUF_BYTES = 2,
    PROTOBUF_FIXED32 = 5,
};

struct protobuf {
    struct bytes in; /* what is left */
    bool         is_broken;
};

struct protobuf_field {
    uint32_t           number;
    enum protobuf_kind kind;
    uint64_t           value; /* VARINT, FIXED64, FIXED32 */
    struct bytes       bytes; /* BYTES; borrowed */
};

/* The next field; false at the end of the message and, with is_broken, at bytes that are none. */
bool protobuf_next(struct protobuf_field *f, struct protobuf *pb);

#endif
