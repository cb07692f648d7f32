/* SPDX-License-Identifier: MIT
 *
 * The lower part of the codec's encoder on a CPU: 24 kHz sound to 200 vectors a second, several
 * times faster than the general convolutions of the training's library, because everything between
 * two frames stays in the cache. Channels last; weights [tap, in, out]. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME = 1920, MOST_STAGES = 4 };

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));

/* y[i][o] = b[o] + sum over j < k of x[i * step + j] * w[j][o]: rows of x may overlap. */
static void conv(float *restrict y, const float *restrict x, const float *restrict w,
                 const float *restrict b, int n, int step, int k, int n_out)
{
    for (int o = 0; o < n_out; o += 8) {
        const v8 bias = *(const v8 *)(b + o);
        int      i = 0;
        for (; i + 8 <= n; i += 8) {
            v8 sum[8];
            for (int r = 0; r < 8; r++)
                sum[r] = bias;
            for (int j = 0; j < k; j++) {
                const v8 weight = *(const v8 *)(w + (size_t)j * n_out + o);
                for (int r = 0; r < 8; r++)
                    sum[r] += x[(i + r) * step + j] * weight;
            }
            for (int r = 0; r < 8; r++)
                *(v8 *)(y + (size_t)(i + r) * n_out + o) = sum[r];
        }
        for (; i < n; i++) {
            v8 sum = bias;
            for (int j = 0; j < k; j++)
                sum += x[i * step + j] * *(const v8 *)(w + (size_t)j * n_out + o);
            *(v8 *)(y + (size_t)i * n_out + o) = sum;
        }
    }
}

static void elu(float *restrict y, const float *restrict x, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = fmaxf(x[i], 0.0f) + expf(fminf(x[i], 0.0f)) - 1.0f;
}

/* What the next frame still needs: the last n_keep values move to the front. */
static void keep(float *x, int n_new, int n_keep)
{
    memmove(x, x + n_new, (size_t)n_keep * sizeof *x);
}

/* pcm [n_frames * 1920] -> out [n_frames * 1920 / all strides, channels of the last stage].
 * weights: first convolution, then of every stage the residual block's two and the one that halves
 * the rate; each as weights and bias, one after the other. */
int stem_run(const float *pcm, int n_frames, const float *weights, int n_filters, int n_stages,
             const int *strides, float *out)
{
    const int n_max = FRAME * n_filters * 2 + 64 * n_filters;
    float    *in = calloc(FRAME + 6, sizeof *in), *wide = malloc(sizeof *wide * n_max);
    float    *half = malloc(sizeof *half * n_max), *back = malloc(sizeof *back * n_max);
    float    *inner[MOST_STAGES] = { 0 }, *outer[MOST_STAGES] = { 0 };
    int       ok = in && wide && half && back && n_stages <= MOST_STAGES;

    for (int s = 0; ok && s < n_stages; s++) {
        inner[s] = calloc(n_max, sizeof *inner[s]);
        outer[s] = calloc(n_max, sizeof *outer[s]);
        ok = inner[s] && outer[s];
    }
    for (int f = 0; ok && f < n_frames; f++) {
        const float *w = weights;
        int          n = FRAME, c = n_filters;
        memcpy(in + 6, pcm + (size_t)f * FRAME, FRAME * sizeof *in);
        conv(wide, in, w, w + 7 * c, n, 1, 7, c);
        keep(in, FRAME, 6);
        w += 8 * c;
        for (int s = 0; s < n_stages; s++) {
            const int stride = strides[s], h = c / 2, n_low = n / stride;
            elu(inner[s] + 2 * c, wide, n * c);
            conv(half, inner[s], w, w + 3 * c * h, n, c, 3 * c, h);
            keep(inner[s], n * c, 2 * c);
            w += 3 * c * h + h;
            elu(half, half, n * h);
            conv(back, half, w, w + h * c, n, h, h, c);
            w += h * c + c;
            for (int i = 0; i < n * c; i++)
                back[i] += wide[i];
            elu(outer[s] + stride * c, back, n * c);
            float *to = s == n_stages - 1 ? out + (size_t)f * n_low * 2 * c : wide;
            conv(to, outer[s], w, w + 4 * stride * c * c, n_low, stride * c, 2 * stride * c, 2 * c);
            keep(outer[s], n * c, stride * c);
            w += 4 * stride * c * c + 2 * c;
            n = n_low;
            c *= 2;
        }
    }
    free(in);
    free(wide);
    free(half);
    free(back);
    for (int s = 0; s < MOST_STAGES; s++) {
        free(inner[s]);
        free(outer[s]);
    }
    return ok ? 0 : -1;
}
