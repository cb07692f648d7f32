/* SPDX-License-Identifier: MIT */
#include "model/sampler.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define HEAP_MAX 64 /* above, counting digits is quicker */

/* The finaliser of SplitMix64: a bijection whose output bits all depend on all input bits. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* 53 bits of a hash. */
static uint64_t bits(uint64_t key, int32_t i)
{
    return mix(key ^ mix((uint64_t)i)) >> 11;
}

/* -log of an Exp(1) number, from u = (h + 1/2) / 2^53. */
static double noise(uint64_t h)
{
    return -log(-log(((double)h + 0.5) * 0x1p-53));
}

/* No less than noise(h), without a logarithm: -log(-log u) <= -log(1 - u), and 1 - u is at least
 * half of 2^53 - h. */
static double noise_bound(uint64_t h)
{
    int n_zero = __builtin_clzll((1ull << 53) - h);

    return (n_zero - 9) * 0.6931472;
}

/* Restores a heap whose smallest value is in front, after heap[0] changed. */
static void sift_down(float *heap, int n)
{
    int   at = 0;
    float x = heap[0];

    for (int child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= x)
            break;
        heap[at] = heap[child];
    }
    heap[at] = x;
}

/* The k-th largest logit with a heap of k floats: quick for a small k. */
static float kth_by_heap(const float *logits, int n, int k, float *heap)
{
    for (int i = 0; i < k; i++)
        heap[i] = -INFINITY;
    for (int i = 0; i < n; i++) {
        if (logits[i] > heap[0]) { /* false for what is not a number */
            heap[0] = logits[i];
            sift_down(heap, k);
        }
    }
    return heap[0];
}

/* Ordered as the floats are; what is not a number counts as -infinity. */
static uint32_t order_of(float x)
{
    uint32_t u;

    x = isnan(x) ? -INFINITY : x + 0.0f; /* -0 is 0 */
    memcpy(&u, &x, sizeof u);
    return u >> 31 ? ~u : u | 0x80000000u;
}

static float float_of(uint32_t order)
{
    uint32_t u = order >> 31 ? order & 0x7fffffffu : ~order;
    float    x;

    memcpy(&x, &u, sizeof x);
    return x;
}

static uint32_t order_at(const float *room, int i)
{
    uint32_t u;

    memcpy(&u, room + i, sizeof u);
    return u;
}

static int digit_at(const float *room, int i, int shift)
{
    return (int)(order_at(room, i) >> shift & 2047);
}

/* The same by its digits of 10, 11 and 11 bits, counted from the highest; room keeps the numbers
 * that have the digits found so far. */
static float kth_by_digits(const float *logits, int n, int k, float *room)
{
    for (int i = 0; i < n; i++) {
        uint32_t u = order_of(logits[i]);
        memcpy(room + i, &u, sizeof u);
    }
    for (int shift = 22; shift >= 0; shift -= 11) {
        int count[2048] = { 0 }, digit = 2047, n_kept = 0;
        for (int i = 0; i < n; i++)
            count[digit_at(room, i, shift)]++;
        for (; count[digit] < k; digit--)
            k -= count[digit];
        for (int i = 0; i < n; i++) {
            bool is_kept = digit_at(room, i, shift) == digit;
            memmove(room + n_kept, room + i, sizeof *room);
            n_kept += is_kept;
        }
        n = n_kept;
    }
    return float_of(order_at(room, 0));
}

/* The k-th largest logit; *n_tie: how many of those that equal it still belong to the k. */
static float kth_largest(const float *logits, int n, int k, float *room, int *n_tie)
{
    float t = k <= HEAP_MAX ? kth_by_heap(logits, n, k, room) : kth_by_digits(logits, n, k, room);

    *n_tie = k;
    for (int i = 0; i < n; i++)
        *n_tie -= logits[i] > t;
    return t;
}

static int32_t greedy(const float *logits, int n)
{
    int32_t best = -1;

    for (int i = 0; i < n; i++)
        if (!isnan(logits[i]) && (best < 0 || logits[i] > logits[best]))
            best = i;
    return best;
}

int32_t sampler_draw(const float *logits, int n, float temp, int top_k, uint64_t seed,
                     uint64_t draw, float *room)
{
    bool     is_all = top_k <= 0 || top_k >= n;
    int      n_tie = n;
    int32_t  best = -1;
    double   best_score = -INFINITY, t = (double)temp;
    uint64_t key = mix(mix(seed) + draw);

    if (temp <= 0)
        return greedy(logits, n);
    float least = is_all ? -INFINITY : kth_largest(logits, n, top_k, room, &n_tie);
    for (int32_t i = 0; i < n; i++) {
        if (!(logits[i] >= least) || (logits[i] == least && n_tie-- <= 0))
            continue;
        double   score = (double)logits[i] / t;
        uint64_t h = bits(key, i);
        if (best >= 0 && score + noise_bound(h) <= best_score)
            continue;
        score += noise(h);
        if (best < 0 || score > best_score) {
            best = i;
            best_score = score;
        }
    }
    return best;
}
