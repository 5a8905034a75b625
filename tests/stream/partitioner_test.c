/* Where Kafka's clients put keys. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "stream/partitioner.h"

static struct ms_bytes bytes_of(const char *text)
{
    return (struct ms_bytes){text, strlen(text)};
}

/* The hashes of Kafka's own test (UtilsTest.testMurmur2). */
static void murmur2(void **state)
{
    static const struct {
        const char *key;
        int32_t hash;
    } cases[] = {{"21", -973932308},
                 {"foobar", -790332482},
                 {"a-little-bit-long-string", -985981536},
                 {"a-little-bit-longer-string", -1486304829},
                 {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
                 {"abc", 479470107}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int32_t count = 1; count < 5000; count = count * 3 + 1)
            assert_int_equal(ms_partition_of_key(MS_PARTITIONER_MURMUR2, bytes_of(cases[i].key), count),
                             (cases[i].hash & 0x7fffffff) % count);
    }
}

/* The check value of CRC-32, and a hash with its highest bit set: librdkafka takes it as an unsigned number. */
static void crc32(void **state)
{
    (void)state;
    assert_int_equal(ms_partition_of_key(MS_PARTITIONER_CRC32, bytes_of("123456789"), 1000),
                     0xcbf43926u % 1000);
    assert_int_equal(ms_partition_of_key(MS_PARTITIONER_CRC32, bytes_of("a"), 7), 0xe8b7be43u % 7);
}

static void keys(void **state)
{
    static const char number[] = {0, 0, 0, 0, 0, 1, (char)0x86, (char)0xa0};
    static const char negative[] = {-1, -1, -1, -1, -1, -1, -1, -2};
    char room[MS_LONG_KEY_BYTES];
    struct ms_bytes key;
    (void)state;
    assert_true(ms_key_of_user(MS_KEY_STRING, bytes_of("u1"), room, &key));
    assert_int_equal(key.size, 2);
    assert_memory_equal(key.data, "u1", 2);
    assert_true(ms_key_of_user(MS_KEY_LONG, bytes_of("100000"), room, &key));
    assert_int_equal(key.size, 8);
    assert_memory_equal(key.data, number, 8);
    assert_true(ms_key_of_user(MS_KEY_LONG, bytes_of("-2"), room, &key));
    assert_memory_equal(key.data, negative, 8);
    assert_true(ms_key_of_user(MS_KEY_LONG, bytes_of("-9223372036854775808"), room, &key));
    static const char *const none[] = {"u1", "", "1.5", "9223372036854775808", "1-2", " 1", "-"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(ms_key_of_user(MS_KEY_LONG, bytes_of(none[i]), room, &key));
    assert_false(ms_key_of_user(MS_KEY_JSON, bytes_of("u1"), room, &key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(murmur2), cmocka_unit_test(crc32),
                                       cmocka_unit_test(keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
