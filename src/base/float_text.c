/* The shortest decimal that reads back as a float: Schubfach (Giulietti, "The Schubfach way to render doubles", 2020, with the
 * constants for 32 bits). The C++ library's function, which the rare cases go to, takes 40 ns a number on the machine
 * on which this takes 21, and an export of a million users has half a billion numbers. */
#include "base/float_text.h"

#include <string.h>

#include "base/json.h"

#define LEAST_POWER (-31)

/* 10^e, e from LEAST_POWER to 45, as 64 bits of which the first is set, rounded up. */
/* clang-format off */
static const uint64_t powers[] = {
    UINT64_C(0x81ceb32c4b43fcf5), UINT64_C(0xa2425ff75e14fc32), UINT64_C(0xcad2f7f5359a3b3f),
    UINT64_C(0xfd87b5f28300ca0e), UINT64_C(0x9e74d1b791e07e49), UINT64_C(0xc612062576589ddb),
    UINT64_C(0xf79687aed3eec552), UINT64_C(0x9abe14cd44753b53), UINT64_C(0xc16d9a0095928a28),
    UINT64_C(0xf1c90080baf72cb2), UINT64_C(0x971da05074da7bef), UINT64_C(0xbce5086492111aeb),
    UINT64_C(0xec1e4a7db69561a6), UINT64_C(0x9392ee8e921d5d08), UINT64_C(0xb877aa3236a4b44a),
    UINT64_C(0xe69594bec44de15c), UINT64_C(0x901d7cf73ab0acda), UINT64_C(0xb424dc35095cd810),
    UINT64_C(0xe12e13424bb40e14), UINT64_C(0x8cbccc096f5088cc), UINT64_C(0xafebff0bcb24aaff),
    UINT64_C(0xdbe6fecebdedd5bf), UINT64_C(0x89705f4136b4a598), UINT64_C(0xabcc77118461cefd),
    UINT64_C(0xd6bf94d5e57a42bd), UINT64_C(0x8637bd05af6c69b6), UINT64_C(0xa7c5ac471b478424),
    UINT64_C(0xd1b71758e219652c), UINT64_C(0x83126e978d4fdf3c), UINT64_C(0xa3d70a3d70a3d70b),
    UINT64_C(0xcccccccccccccccd), UINT64_C(0x8000000000000000), UINT64_C(0xa000000000000000),
    UINT64_C(0xc800000000000000), UINT64_C(0xfa00000000000000), UINT64_C(0x9c40000000000000),
    UINT64_C(0xc350000000000000), UINT64_C(0xf424000000000000), UINT64_C(0x9896800000000000),
    UINT64_C(0xbebc200000000000), UINT64_C(0xee6b280000000000), UINT64_C(0x9502f90000000000),
    UINT64_C(0xba43b74000000000), UINT64_C(0xe8d4a51000000000), UINT64_C(0x9184e72a00000000),
    UINT64_C(0xb5e620f480000000), UINT64_C(0xe35fa931a0000000), UINT64_C(0x8e1bc9bf04000000),
    UINT64_C(0xb1a2bc2ec5000000), UINT64_C(0xde0b6b3a76400000), UINT64_C(0x8ac7230489e80000),
    UINT64_C(0xad78ebc5ac620000), UINT64_C(0xd8d726b7177a8000), UINT64_C(0x878678326eac9000),
    UINT64_C(0xa968163f0a57b400), UINT64_C(0xd3c21bcecceda100), UINT64_C(0x84595161401484a0),
    UINT64_C(0xa56fa5b99019a5c8), UINT64_C(0xcecb8f27f4200f3a), UINT64_C(0x813f3978f8940985),
    UINT64_C(0xa18f07d736b90be6), UINT64_C(0xc9f2c9cd04674edf), UINT64_C(0xfc6f7c4045812297),
    UINT64_C(0x9dc5ada82b70b59e), UINT64_C(0xc5371912364ce306), UINT64_C(0xf684df56c3e01bc7),
    UINT64_C(0x9a130b963a6c115d), UINT64_C(0xc097ce7bc90715b4), UINT64_C(0xf0bdc21abb48db21),
    UINT64_C(0x96769950b50d88f5), UINT64_C(0xbc143fa4e250eb32), UINT64_C(0xeb194f8e1ae525fe),
    UINT64_C(0x92efd1b8d0cf37bf), UINT64_C(0xb7abc627050305ae), UINT64_C(0xe596b7b0c643c71a),
    UINT64_C(0x8f7e32ce7bea5c70), UINT64_C(0xb35dbf821ae4f38c),
};
/* clang-format on */

/* floor(e log2(10)) and floor(q log10(2)), or with |closer| floor(log10(3/4 2^q)). Right shifts of negative numbers round down. */
static int log2_of_power(int e)
{
    return (e * 1741647) >> 19;
}

static int log10_of_unit(int q, bool closer)
{
    return (q * 1262611 - (closer ? 524031 : 0)) >> 22;
}

/* The upper 32 of the product's 96 bits, the last one set where there is anything in the 32 below it. */
static uint32_t multiply_to_odd(uint64_t power, uint32_t number)
{
    uint64_t upper = (power >> 32) * number + ((power & UINT32_MAX) * number >> 32);
    return (uint32_t)(upper >> 32) | ((uint32_t)upper > 1);
}

struct decimal {
    uint32_t digits;
    int exponent;
};

/* |bits| of a positive, finite float. */
static struct decimal shortest(uint32_t bits)
{
    uint32_t fraction = bits & 0x7FFFFF, biased = bits >> 23;
    uint32_t c = biased ? fraction | 0x800000 : fraction;
    int q = (biased ? (int)biased : 1) - 150;
    if (biased && q <= 0 && q > -24 && (c & ((1u << -q) - 1)) == 0)
        return (struct decimal){c >> -q, 0};
    bool even = c % 2 == 0, closer = fraction == 0 && biased > 1;
    int k = log10_of_unit(q, closer), shift = q + log2_of_power(-k) + 1;
    uint64_t power = powers[-k - LEAST_POWER];
    uint32_t lower = multiply_to_odd(power, (4 * c - 2 + closer) << shift) + !even,
             middle = multiply_to_odd(power, (4 * c) << shift),
             upper = multiply_to_odd(power, (4 * c + 2) << shift) - !even, s = middle / 4, tens = s / 10;
    /* With a digit less, and with all: which neighbour lies within the bounds. Both are worked out, because which one
     * it is cannot be predicted. */
    uint32_t less_down = lower <= 40 * tens, less_up = 40 * tens + 40 <= upper, down = lower <= 4 * s,
             up = 4 * s + 4 <= upper, half = 4 * s + 2, nearer = (middle > half) | ((middle == half) & s),
             less = (less_down ^ less_up) & (s >= 10), plus = (down ^ up) ? up : nearer;
    uint32_t mask = -less;
    return (struct decimal){((tens + less_up) & mask) | ((s + plus) & ~mask), k + (int)less};
}

#define DIGITS 9 /* a float needs no more */

/* |number| with zeros before it. */
static void put_digits(char at[DIGITS], uint32_t number)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
        "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
        "8081828384858687888990919293949596979899";
    uint32_t upper = number / 10000, lower = number % 10000, first = upper / 10000;
    upper %= 10000;
    at[0] = (char)('0' + first);
    memcpy(at + 1, pairs + 2 * (upper / 100), 2);
    memcpy(at + 3, pairs + 2 * (upper % 100), 2);
    memcpy(at + 5, pairs + 2 * (lower / 100), 2);
    memcpy(at + 7, pairs + 2 * (lower % 100), 2);
}

/* Of a number from 1 to 999999999. */
static int count_digits(uint32_t number)
{
    static const uint32_t powers_of_ten[] = {1,      10,      100,      1000,      10000,
                                             100000, 1000000, 10000000, 100000000, 1000000000};
    int n = ((32 - __builtin_clz(number)) * 1233) >> 12;
    return n + (number >= powers_of_ten[n]);
}

/* d.ddd and 0.ddd; 0 where another form is shorter or the digits are not all there is. */
static size_t put_plain(char *at, struct decimal value)
{
    char digits[2 * DIGITS] = {0}; /* the first of them stands before the second half */
    int count = count_digits(value.digits), before = count + value.exponent;
    if (value.exponent >= 0 || before < -2 - (count > 1))
        return 0;
    if (before <= 0 && count >= DIGITS - 2) { /* most numbers: nothing is read back that was just written */
        memcpy(at, "0.000", 5);
        put_digits(at + 2 - before + count - DIGITS, value.digits);
        memcpy(at, "0.", 2); /* over the zeros before the digits */
        return (size_t)(2 - before + count);
    }
    put_digits(digits, value.digits);
    const char *first = digits + DIGITS - count;
    if (before > 0) {
        memcpy(at, first, (size_t)before);
        at[before] = '.';
        memcpy(at + before + 1, first + before, (size_t)(count - before));
        return (size_t)count + 1;
    }
    memcpy(at, "0.000", 5);
    memcpy(at + 2 - before, first, DIGITS); /* what is copied too much is within the room */
    return (size_t)(2 - before + count);
}

size_t ms_float_text(char *at, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bool negative = bits >> 31;
    bits &= 0x7FFFFFFF;
    if (bits == 0)
        return ms_print_float(at, value);
    struct decimal decimal = shortest(bits);
    while (decimal.digits % 10 == 0) {
        decimal.digits /= 10;
        decimal.exponent++;
    }
    *at = '-';
    size_t size = put_plain(at + negative, decimal);
    return size ? size + negative : ms_print_float(at, value);
}
