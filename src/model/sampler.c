/* SPDX-License-Identifier: MIT */
#include "model/sampler.h"

#include <math.h>
#include <stdbool.h>

/* The finaliser of SplitMix64: a bijection whose output bits all depend on all input bits. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* -log of an Exp(1) number: 53 bits of a hash, never 0 or 1. */
static double noise(uint64_t key, int32_t i)
{
    double u = ((double)(mix(key ^ mix((uint64_t)i)) >> 11) + 0.5) * 0x1p-53;

    return -log(-log(u));
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

/* The k-th largest logit; *n_tie: how many of those that equal it still belong to the k. */
static float kth_largest(const float *logits, int n, int k, float *heap, int *n_tie)
{
    for (int i = 0; i < k; i++)
        heap[i] = -INFINITY;
    for (int i = 0; i < n; i++) {
        if (logits[i] > heap[0]) { /* false for what is not a number */
            heap[0] = logits[i];
            sift_down(heap, k);
        }
    }
    float t = heap[0];
    *n_tie = 0;
    for (int i = 0; i < k; i++)
        *n_tie += heap[i] == t;
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
        double score = (double)logits[i] / t + noise(key, i);
        if (best < 0 || score > best_score) {
            best = i;
            best_score = score;
        }
    }
    return best;
}
