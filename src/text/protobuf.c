/* SPDX-License-Identifier: MIT */
#include "text/protobuf.h"

#include <stddef.h>

static void drop(struct protobuf *pb, size_t n)
{
    pb->in = bytes_of(pb->in.p + n, pb->in.len - n);
}

static bool read_varint(uint64_t *out, struct protobuf *pb)
{
    uint64_t v = 0;
    for (size_t i = 0; i < 10 && i < pb->in.len; i++) {
        uint8_t c = pb->in.p[i];
        if (i == 9 && c > 1) /* more than 64 bits */
            return false;
        v |= (uint64_t)(c & 0x7F) << 7 * i;
        if (c < 0x80) {
            drop(pb, i + 1);
            *out = v;
            return true;
        }
    }
    return false;
}

static bool read_fixed(uint64_t *out, struct protobuf *pb, size_t n)
{
    if (pb->in.len < n)
        return false;
    *out = bytes_le(pb->in.p, (int)n);
    drop(pb, n);
    return true;
}

static bool read_value(struct protobuf_field *f, struct protobuf *pb)
{
    uint64_t len;

    switch (f->kind) {
    case PROTOBUF_VARINT: return read_varint(&f->value, pb);
    case PROTOBUF_FIXED64: return read_fixed(&f->value, pb, 8);
    case PROTOBUF_FIXED32: return read_fixed(&f->value, pb, 4);
    case PROTOBUF_BYTES:
        if (!read_varint(&len, pb) || len > pb->in.len)
            return false;
        f->bytes = bytes_of(pb->in.p, (size_t)len);
        drop(pb, (size_t)len);
        return true;
    }
    return false;
}

bool protobuf_next(struct protobuf_field *f, struct protobuf *pb)
{
    uint64_t key;

    if (pb->is_broken || pb->in.len == 0)
        return false;
    *f = (struct protobuf_field){ 0 };
    if (!read_varint(&key, pb) || key >> 3 == 0 || key >> 3 > 0x1FFFFFFF) {
        pb->is_broken = true;
        return false;
    }
    f->number = (uint32_t)(key >> 3);
    f->kind = (enum protobuf_kind)(key & 7);
    pb->is_broken = !read_value(f, pb);
    return !pb->is_broken;
}
