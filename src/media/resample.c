/* SPDX-License-Identifier: MIT */
#include "media/resample.h"

#include <soxr.h>

#include "base/mem.h"

struct resample {
    soxr_t soxr;
};

enum err resample_open(struct resample **out, int from_hz, int to_hz)
{
    soxr_error_t     failed = NULL;
    struct resample *r = mem_zalloc(sizeof *r);
    if (!r)
        return ERR_NOMEM;
    soxr_io_spec_t      io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
    soxr_runtime_spec_t one_thread = soxr_runtime_spec(1);
    r->soxr = soxr_create(from_hz, to_hz, 1, &failed, &io, &quality, &one_thread);
    if (failed) {
        enum err err = err_set(ERR_FAIL, "cannot resample from %d to %d Hz: %s", from_hz, to_hz,
                               soxr_strerror(failed));
        resample_close(&r);
        return err;
    }
    *out = r;
    return OK;
}

void resample_close(struct resample **r)
{
    if (!*r)
        return;
    if ((*r)->soxr)
        soxr_delete((*r)->soxr);
    mem_free(*r);
    *r = NULL;
}

enum err resample_step(struct resample *r, float *out, size_t *n_out, size_t out_cap,
                       const float *in, size_t n_in, size_t *n_used)
{
    soxr_error_t failed = soxr_process(r->soxr, in, in ? n_in : 0, n_used, out, out_cap, n_out);
    if (failed)
        return err_set(ERR_FAIL, "resampling failed: %s", soxr_strerror(failed));
    return OK;
}
