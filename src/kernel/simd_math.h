/* SPDX-License-Identifier: MIT */
/* simd_math: exp and the activations, on the vocabulary included before. Relative errors are a few
 * 2^-24; the coefficients are our own fits. */
#ifndef KERNEL_SIMD_MATH_H
#define KERNEL_SIMD_MATH_H

#include <math.h>

#include "kernel/kern.h"

#if defined(SIMD_LANES)
#define SIMD_INLINE  static inline __attribute__((always_inline))
#define SIMD_EXP_MAX 88.72283f /* above: infinity */
#define SIMD_EXP_MIN -86.9899f /* below: half of it would be a denormal; it is zero here */

/* e^x = s * (1 + q): s a power of two, halved so that the largest x fits, q = e^r - 1 for the rest
 * |r| <= ln 2 / 2. */
struct simd_exp {
    simd half, q;
};

SIMD_INLINE struct simd_exp simd_exp_split(simd x)
{
    simd n = simd_round(simd_mul(x, simd_set(1.44269504f)));
    simd r = simd_fma(n, simd_set(-0.693359375f), x); /* ln 2 in two parts */
    r = simd_fma(n, simd_set(2.12194440e-4f), r);
    simd p = simd_set(1.393388375e-3f);
    p = simd_fma(p, r, simd_set(8.363335393e-3f));
    p = simd_fma(p, r, simd_set(4.166646302e-2f));
    p = simd_fma(p, r, simd_set(1.666657627e-1f));
    p = simd_fma(p, r, simd_set(0.5f));
    struct simd_exp e = { simd_pow2(simd_sub(n, simd_set(1))), simd_fma(simd_mul(r, r), p, r) };
    return e;
}

SIMD_INLINE simd simd_exp(simd x)
{
    simd            in = simd_min(simd_set(SIMD_EXP_MAX), simd_max(simd_set(SIMD_EXP_MIN), x));
    struct simd_exp e = simd_exp_split(in);
    simd            y = simd_fma(e.half, e.q, e.half);
    y = simd_add(y, y);
    y = simd_pick(simd_less(x, simd_set(SIMD_EXP_MIN)), simd_zero(), y);
    return simd_pick(simd_less(simd_set(SIMD_EXP_MAX), x), simd_set(HUGE_VALF), y);
}

/* e^x - 1 for x <= 0, accurate near 0 too. */
SIMD_INLINE simd simd_expm1_neg(simd x)
{
    struct simd_exp e = simd_exp_split(simd_max(simd_set(-60), x));
    simd            s = simd_add(e.half, e.half);
    return simd_fma(s, e.q, simd_sub(s, simd_set(1)));
}

SIMD_INLINE simd simd_sigmoid(simd x)
{
    return simd_div(simd_set(1), simd_add(simd_set(1), simd_exp(simd_neg(x))));
}

/* With m = e^(-2|x|) - 1: tanh |x| = -m / (m + 2). */
SIMD_INLINE simd simd_tanh(simd x)
{
    simd a = simd_abs(x);
    simd m = simd_expm1_neg(simd_mul(a, simd_set(-2)));
    simd t = simd_div(simd_neg(m), simd_add(m, simd_set(2)));
    return simd_pick(simd_less(x, simd_zero()), simd_neg(t), t);
}

/* x P(X < x): with t = |x| / sqrt 2 and k = 1 / (1 + 0.48 t) the tail is e^(-t^2) k poly(k) / 2. */
SIMD_INLINE simd simd_gelu(simd x)
{
    static const float c[] = { -5.460888147e-02f, 2.912939787e-01f,  -5.740818977e-01f,
                               4.383025467e-01f,  -1.114811450e-01f, 2.399153113e-01f,
                               2.278538197e-01f,  2.720514834e-01f,  2.707547843e-01f };
    simd               t = simd_mul(simd_abs(x), simd_set(0.70710678f));
    simd               k = simd_div(simd_set(1), simd_fma(t, simd_set(0.48f), simd_set(1)));
    simd               p = simd_set(c[0]);
    for (int i = 1; i < 9; i++)
        p = simd_fma(p, k, simd_set(c[i]));
    simd tail = simd_mul(simd_mul(simd_exp(simd_neg(simd_mul(t, t))), simd_set(0.5f)),
                         simd_mul(k, p));
    return simd_mul(x, simd_pick(simd_less(x, simd_zero()), tail, simd_sub(simd_set(1), tail)));
}

/* x tanh(log(1 + e^x)) without the logarithm: with n = e (e + 2), x n / (n + 2). */
SIMD_INLINE simd simd_mish(simd x)
{
    simd e = simd_exp(simd_min(simd_set(20), x));
    simd n = simd_mul(e, simd_add(e, simd_set(2)));
    return simd_mul(x, simd_div(n, simd_add(n, simd_set(2))));
}

SIMD_INLINE simd simd_act(simd x, enum act act)
{
    simd zero = simd_zero();
    switch (act) {
    case ACT_SILU: return simd_div(x, simd_add(simd_set(1), simd_exp(simd_neg(x))));
    case ACT_GELU: return simd_gelu(x);
    case ACT_RELU: return simd_max(zero, x);
    case ACT_SIGMOID: return simd_sigmoid(x);
    case ACT_TANH: return simd_tanh(x);
    case ACT_ELU: return simd_pick(simd_less(zero, x), x, simd_expm1_neg(x));
    case ACT_LEAKY_RELU: return simd_pick(simd_less(zero, x), x, simd_mul(simd_set(0.01f), x));
    case ACT_MISH: return simd_mish(x);
    case ACT_SOFTSIGN: return simd_div(x, simd_add(simd_set(1), simd_abs(x)));
    case ACT_NONE:
    case ACT_COUNT: break;
    }
    return x;
}
#endif
#endif
