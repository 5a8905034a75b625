/* Keys and partition rows: their exact bytes, their order, and bytes that are neither. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "state/key.h"
#include "state/partition_row.h"

static const struct ms_bytes ID = {"a\0b", 3};

static void assert_bytes(const struct ms_buffer *buffer, const char *bytes, size_t size)
{
    assert_int_equal(buffer->size, size);
    assert_memory_equal(buffer->data, bytes, size);
}

static void keys_have_their_layout(void **state)
{
    struct ms_buffer key = {0};
    (void)state;
    assert_true(ms_key_partition(&key, 0x0102));
    assert_bytes(&key, "\1\2", 2);
    assert_true(ms_key_user(&key, 0x7fff, ID));
    assert_bytes(&key,
                 "\x7f\xff"
                 "a\0b",
                 5);
    assert_true(ms_key_chunk(&key, 0x0102, ID, 0x01020304));
    assert_bytes(&key,
                 "\x81\2"
                 "a\0b"
                 "\1\2\3\4",
                 9);
    assert_true(ms_key_append_chunk(&key, 0, (struct ms_bytes){NULL, 0}, 5));
    assert_bytes(&key,
                 "\x81\2"
                 "a\0b"
                 "\1\2\3\4"
                 "\x80\0"
                 "\0\0\0\5",
                 15);
    ms_buffer_free(&key);
}

static void keys_come_apart_again(void **state)
{
    struct ms_buffer bytes = {0};
    struct ms_key key;
    (void)state;
    assert_true(ms_key_partition(&bytes, 32767));
    assert_true(ms_key_parse((struct ms_bytes){bytes.data, bytes.size}, &key));
    assert_true(key.kind == MS_KEY_PARTITION && key.partition == 32767);
    assert_true(ms_key_user(&bytes, 32767, ID));
    assert_true(ms_key_parse((struct ms_bytes){bytes.data, bytes.size}, &key));
    assert_true(key.kind == MS_KEY_USER && key.partition == 32767 && key.id.size == ID.size);
    assert_memory_equal(key.id.data, ID.data, ID.size);
    assert_true(ms_key_chunk(&bytes, 300, ID, 0xfffefdfc));
    assert_true(ms_key_parse((struct ms_bytes){bytes.data, bytes.size}, &key));
    assert_true(key.kind == MS_KEY_CHUNK && key.partition == 300 && key.number == 0xfffefdfc);
    assert_true(key.id.size == ID.size && memcmp(key.id.data, ID.data, ID.size) == 0);
    ms_buffer_free(&bytes);
}

static void other_bytes_are_no_keys(void **state)
{
    struct ms_key key = {.number = 77};
    (void)state;
    assert_false(ms_key_parse((struct ms_bytes){"", 0}, &key));
    assert_false(ms_key_parse((struct ms_bytes){"\1", 1}, &key));
    assert_false(ms_key_parse((struct ms_bytes){"\x80\1", 2}, &key));
    assert_false(ms_key_parse((struct ms_bytes){"\x80\1\0\0\0", 5}, &key));
    assert_int_equal(key.number, 77);
    assert_true(ms_key_parse((struct ms_bytes){"\x80\1\0\0\0\2", 6}, &key));
    assert_true(key.kind == MS_KEY_CHUNK && key.id.size == 0 && key.number == 2);
}

static int order(const struct ms_buffer *a, const struct ms_buffer *b)
{
    int bytes = memcmp(a->data, b->data, a->size < b->size ? a->size : b->size);
    return bytes ? bytes : (a->size > b->size) - (a->size < b->size);
}

/* The order that a flush relies on. */
static void partition_then_users_then_chunks(void **state)
{
    struct ms_buffer keys[6] = {0};
    (void)state;
    assert_true(ms_key_partition(&keys[0], 255));
    assert_true(ms_key_user(&keys[1], 255, ID));
    assert_true(ms_key_partition(&keys[2], 256));
    assert_true(ms_key_user(&keys[3], 32767, ID));
    assert_true(ms_key_chunk(&keys[4], 0, ID, 255));
    assert_true(ms_key_chunk(&keys[5], 0, ID, 256));
    for (int i = 1; i < 6; i++)
        assert_true(order(&keys[i - 1], &keys[i]) < 0);
    for (int i = 0; i < 6; i++)
        ms_buffer_free(&keys[i]);
}

/* The list's buffer moves while it grows; its keys are right all the same. */
static void a_list_survives_growing(void **state)
{
    struct ms_key_list list = {0};
    struct ms_key key;
    char id[16];
    (void)state;
    for (int round = 0; round < 2; round++) {
        ms_key_list_clear(&list);
        for (uint32_t i = 0; i < 5000; i++) {
            struct ms_bytes bytes = {id, (size_t)snprintf(id, sizeof id, "%u", i)};
            assert_true(i % 2 ? ms_key_list_add_user(&list, (uint16_t)i, bytes)
                              : ms_key_list_add_chunk(&list, (uint16_t)i, bytes, i));
        }
        const struct ms_bytes *keys = ms_key_list_keys(&list);
        assert_non_null(keys);
        assert_int_equal(list.count, 5000);
        for (uint32_t i = 0; i < 5000; i++) {
            size_t n = (size_t)snprintf(id, sizeof id, "%u", i);
            assert_true(ms_key_parse(keys[i], &key));
            assert_int_equal(key.kind, i % 2 ? MS_KEY_USER : MS_KEY_CHUNK);
            assert_true(key.partition == i && key.id.size == n && memcmp(key.id.data, id, n) == 0);
            assert_true(i % 2 || key.number == i);
        }
    }
    ms_key_list_free(&list);
    assert_non_null(ms_key_list_keys(&list));
    ms_key_list_free(&list);
}

static void a_partition_row_has_its_layout(void **state)
{
    const struct ms_partition_row row = {
        .sources = {{.applied = 0x0102030405060708, .origin = 2}, {.applied = -1, .origin = 4}},
        .fold_id = 0xfedcba9876543210,
        .decode_id = 0x1112131415161718,
        .debt = 0x2122232425262728,
        .owed_from = 0x3132333435363738,
        .shown_slots = 0x41424344,
        .partitions_count = 0x51525354,
        .mark_upto = 0x6162636465666768,
        .mark_digest = 0x71727374757677};
    static const char bytes[] = "\2\0\0\0\0\0\0\0"
                                "\x08\7\6\5\4\3\2\1"
                                "\2\0\0\0\0\0\0\0"
                                "\xff\xff\xff\xff\xff\xff\xff\xff"
                                "\4\0\0\0\0\0\0\0"
                                "\x10\x32\x54\x76\x98\xba\xdc\xfe"
                                "\x18\x17\x16\x15\x14\x13\x12\x11"
                                "\x54\x53\x52\x51\x44\x43\x42\x41"
                                "\x28\x27\x26\x25\x24\x23\x22\x21"
                                "\x38\x37\x36\x35\x34\x33\x32\x31"
                                "\x68\x67\x66\x65\x64\x63\x62\x61"
                                "\x77\x76\x75\x74\x73\x72\x71"; /* and the last NUL */
    char out[MS_PARTITION_ROW_BYTES];
    struct ms_partition_row read;
    struct ms_error error;
    (void)state;
    assert_int_equal(sizeof bytes, sizeof out);
    ms_partition_row_encode(&row, out);
    assert_memory_equal(out, bytes, sizeof out);
    assert_int_equal(ms_partition_row_decode((struct ms_bytes){out, sizeof out}, 7, &read, &error), MS_OK);
    assert_memory_equal(&read, &row, sizeof row);
    assert_int_equal(ms_partition_row_decode((struct ms_bytes){out, 95}, 7, &read, &error), MS_STATE);
    assert_non_null(strstr(error.text, "partition 7"));
    assert_int_equal(ms_partition_row_decode((struct ms_bytes){out, 0}, 7, &read, &error), MS_STATE);
    out[0] = 3;
    assert_int_equal(ms_partition_row_decode((struct ms_bytes){out, sizeof out}, 7, &read, &error),
                     MS_STATE_NEWER);
    out[0] = 0;
    assert_int_equal(ms_partition_row_decode((struct ms_bytes){out, sizeof out}, 7, &read, &error), MS_STATE);
}

/* Rows that an earlier program has written stay readable. */
static void a_partition_row_of_the_version_before_is_read(void **state)
{
    char bytes[] = "\1\0\0\0\0\0\0\0"
                   "\x08\7\6\5\4\3\2\1"
                   "\2\0\0\0\0\0\0\0"
                   "\xff\xff\xff\xff\xff\xff\xff\xff"
                   "\4\0\0\0\0\0\0\0"
                   "\5\0\0\0\0\0\0\0"
                   "\x10\x32\x54\x76\x98\xba\xdc\xfe"
                   "\0\0\0\0\0\0\0"; /* and the last NUL */
    const struct ms_partition_row row = {
        .sources = {{.applied = 0x0102030405060708, .origin = 2}, {.applied = -1, .origin = 4}},
        .fold_id = 0xfedcba9876543210,
        .owed_from = -1};
    struct ms_partition_row read;
    struct ms_error error;
    (void)state;
    assert_int_equal(sizeof bytes, 64);
    assert_int_equal(ms_partition_row_decode((struct ms_bytes){bytes, 64}, 7, &read, &error), MS_OK);
    assert_memory_equal(&read, &row, sizeof row);
    assert_int_equal(ms_partition_row_decode((struct ms_bytes){bytes, 63}, 7, &read, &error), MS_STATE);
    bytes[0] = 2;
    assert_int_equal(ms_partition_row_decode((struct ms_bytes){bytes, 64}, 7, &read, &error), MS_STATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keys_have_their_layout),
                                       cmocka_unit_test(keys_come_apart_again),
                                       cmocka_unit_test(other_bytes_are_no_keys),
                                       cmocka_unit_test(partition_then_users_then_chunks),
                                       cmocka_unit_test(a_list_survives_growing),
                                       cmocka_unit_test(a_partition_row_has_its_layout),
                                       cmocka_unit_test(a_partition_row_of_the_version_before_is_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
