/* The sweep: whole blocks of levels at once, where the processor has AVX-512 IFMA.
 *
 * Chosen at run time; everything else takes the plain loop. IFMA multiplies 52-bit numbers
 * and adds the low or high 52 bits of the product to 64-bit lanes, which is the 128-bit
 * notional in two instructions for eight levels. A block with a price or quantity of 2^52 or
 * more, with a level past the limit, or with more than the order still wants is left to the
 * plain loop.
 */
#ifndef EXECUTION_MATCH_SIMD_H
#define EXECUTION_MATCH_SIMD_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(EXECUTION_NO_SIMD) && \
    !defined(EXECUTION_NO_INT128)
#define MATCH_HAS_SWEEP 1
#else
#define MATCH_HAS_SWEEP 0
#endif

#if MATCH_HAS_SWEEP

#include <immintrin.h>

#define MATCH_SWEEP_BLOCK 32
#define MATCH_SWEEP_LEAST 48
/* A block adds one number below 2^52 to each of 32 lanes: so often, their sum fits 64 bits. */
#define MATCH_SWEEP_FLUSH 64

static int match_can_sweep = 0;

static void match_choose_sweep(int allowed) {
    __builtin_cpu_init();
    match_can_sweep = allowed && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512ifma");
}

#define MATCH_AVX512 __attribute__((target("avx512f,avx512ifma"), noinline))

#define MATCH_AVX512_PART static inline __attribute__((target("avx512f,avx512ifma"), always_inline))

MATCH_AVX512_PART __m512i match_sum_four(const __m512i *four) {
    return _mm512_add_epi64(_mm512_add_epi64(four[0], four[1]),
                            _mm512_add_epi64(four[2], four[3]));
}

/* The two halves as one number, sum(low) + 2^52 * sum(high). */
MATCH_AVX512_PART match_u128 match_sweep_total(const __m512i *low, const __m512i *high) {
    match_u128 upper = (uint64_t)_mm512_reduce_add_epi64(match_sum_four(high));
    return (upper << 52) + (uint64_t)_mm512_reduce_add_epi64(match_sum_four(low));
}

/* Four chains of sums side by side: one would wait for each multiplication to end. The last
 * price of a block is its worst. */
static MATCH_AVX512 void match_sweep(const int64_t *prices, const int64_t *quantities,
                                     ptrdiff_t count, int64_t limit, int descending,
                                     match_progress *progress) {
    const __m512i too_wide = _mm512_set1_epi64(~(((int64_t)1 << 52) - 1));
    __m512i low[4], high[4];
    match_u128 notional = 0;
    int64_t left = progress->left;
    ptrdiff_t level = 0;
    int blocks = 0, part;
    for (part = 0; part < 4; part++) low[part] = high[part] = _mm512_setzero_si512();
    for (; level + MATCH_SWEEP_BLOCK <= count; level += MATCH_SWEEP_BLOCK) {
        __m512i price[4], quantity[4], bits = _mm512_setzero_si512();
        int64_t worst = prices[level + MATCH_SWEEP_BLOCK - 1], taken;
        if (descending ? worst < limit : worst > limit) break;
        for (part = 0; part < 4; part++) {
            price[part] = _mm512_loadu_si512(prices + level + 8 * part);
            quantity[part] = _mm512_loadu_si512(quantities + level + 8 * part);
            /* 0xfe: the or of all three. */
            bits = _mm512_ternarylogic_epi64(bits, price[part], quantity[part], 0xfe);
        }
        if (_mm512_test_epi64_mask(bits, too_wide)) break;
        taken = _mm512_reduce_add_epi64(match_sum_four(quantity));
        if (taken >= left) break;
        left -= taken;
        for (part = 0; part < 4; part++) {
            low[part] = _mm512_madd52lo_epu64(low[part], price[part], quantity[part]);
            high[part] = _mm512_madd52hi_epu64(high[part], price[part], quantity[part]);
        }
        if (++blocks == MATCH_SWEEP_FLUSH) {
            notional += match_sweep_total(low, high);
            for (part = 0; part < 4; part++) low[part] = high[part] = _mm512_setzero_si512();
            blocks = 0;
        }
    }
    progress->level = level;
    progress->left = left;
    progress->notional = notional + match_sweep_total(low, high);
}

#else
static void match_choose_sweep(int allowed) { (void)allowed; }
#endif
#endif
