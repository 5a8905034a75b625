/* Draws from Zipf's law: how often each rank comes, and that a seed gives the same draws on every machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>

#include <cmocka.h>

#include "synth/random.h"
#include "synth/zipf.h"

/* Draws against the probabilities of the law (by libm): chi-square over the ranks. */
static void test_zipf_law(void **state)
{
    (void)state;
    enum { COUNT = 50, DRAWS = 400000 };
    static const double exponents[] = {0, 0.5, 1.0, 1.3, 2.0}, shifts[] = {1.0, 0.01, 0.37, 3.0};
    uint64_t random = 42;
    for (size_t i = 0; i < 20; i++) {
        struct ms_zipf zipf;
        double exponent = exponents[i % 5], shift = shifts[i / 5], total = 0, chi_square = 0;
        int seen[COUNT] = {0};
        ms_zipf_init(&zipf, COUNT, exponent, shift);
        for (int n = 0; n < DRAWS; n++)
            seen[ms_zipf_draw(&zipf, &random)]++;
        for (int k = 0; k < COUNT; k++)
            total += pow(shift + k, -exponent);
        for (int k = 0; k < COUNT; k++) {
            double expected = DRAWS * pow(shift + k, -exponent) / total;
            chi_square += (seen[k] - expected) * (seen[k] - expected) / expected;
        }
        /* 49 degrees of freedom: 1 in 10,000 is above 94. The draws are fixed, so the test is, too. */
        if (chi_square > 94)
            fail_msg("exponent %g, shift %g: chi-square %g", exponent, shift, chi_square);
    }
}

/* The draws were taken once. Any other sequence on any machine means that generated logs are not comparable. */
static void test_same_draws(void **state)
{
    (void)state;
    static const uint32_t expected[] = {53, 881, 0, 12, 33, 153, 29, 84, 364, 44, 459, 0, 0, 0, 1, 15};
    struct ms_zipf zipf;
    uint64_t random = 7;
    ms_zipf_init(&zipf, 1000, 1.0, 1.0);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_int_equal(ms_zipf_draw(&zipf, &random), expected[i]);
}

/* The smallest and the largest rank come, and none beyond, whatever the parameters. */
static void test_limits(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 3, 4000000000U};
    static const double exponents[] = {0, 1.0, 1.0 + 1e-9, 10};
    uint64_t random = 1;
    for (size_t i = 0; i < 16; i++) {
        struct ms_zipf zipf;
        uint32_t count = counts[i / 4], first = 0, last = 0;
        ms_zipf_init(&zipf, count, exponents[i % 4], 1.0);
        for (int n = 0; n < 20000; n++) {
            uint32_t drawn = ms_zipf_draw(&zipf, &random);
            assert_true(drawn < count);
            first += drawn == 0;
            last += drawn == count - 1;
        }
        if (count < 4)
            assert_true(first > 0 && (last > 0 || exponents[i % 4] > 5));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_zipf_law), cmocka_unit_test(test_same_draws),
                                       cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
