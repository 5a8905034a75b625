/* Logs of all kinds become events, or an error that names file, line and cause. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "model/model_writer.h"
#include "train/events.h"

#define COUNT(array) (sizeof array / sizeof *array)

struct fixture {
    char *dir;
    char path[2][4096];
    const char *paths[2];
    struct ms_events_options options;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->dir = writer_temp_dir();
    for (int i = 0; i < 2; i++) {
        snprintf(f->path[i], sizeof f->path[i], "%s/log%d", f->dir, i);
        f->paths[i] = f->path[i];
    }
    f->options = (struct ms_events_options){.paths = f->paths, .path_count = 1};
    assert_int_equal(ms_passed_parse(NULL, &f->options.passed, NULL), MS_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    writer_remove(f->dir);
    free(f->dir);
    free(f);
    return 0;
}

/* Reads all events: "user item type time@line" with newlines between them, or the error's text. Closes what it opened. */
static enum ms_status read_all(struct fixture *f, char *out, size_t room, struct ms_passed_counts *counts)
{
    struct ms_events *events = NULL;
    struct ms_log_event e;
    struct ms_error error = {0};
    size_t used = 0;
    enum ms_status status = ms_events_open(&events, &f->options, &error);
    while (status == MS_OK && (status = ms_events_next(events, &e, &error)) == MS_OK && e.event.user.data) {
        used += (size_t)snprintf(out + used, room - used, "%s%.*s %.*s %.*s %lld@%llu", used ? "\n" : "",
                                 (int)e.event.user.size, e.event.user.data, (int)e.event.item.size,
                                 e.event.item.data, (int)e.event.type.size, e.event.type.data,
                                 (long long)e.event.time_ms, (unsigned long long)e.line);
        assert_true(used < room);
    }
    if (status == MS_OK) {
        out[used] = '\0';
        for (int again = 0; again < 2; again++) { /* the end stays the end */
            assert_int_equal(ms_events_next(events, &e, &error), MS_OK);
            assert_null(e.event.user.data);
        }
        if (counts)
            *counts = *ms_events_passed(events);
    } else {
        snprintf(out, room, "%s", error.text);
    }
    ms_events_close(events);
    return status;
}

static void gives_bytes(struct fixture *f, const void *bytes, size_t size, const char *expected)
{
    char found[2000];
    writer_file(f->dir, "log0", bytes, size);
    if (read_all(f, found, sizeof found, NULL) != MS_OK || strcmp(found, expected) != 0)
        fail_msg("%s\nexpected: %s", found, expected);
}

static void gives(struct fixture *f, const char *text, const char *expected)
{
    gives_bytes(f, text, strlen(text), expected);
}

static void refuses_bytes(struct fixture *f, const void *bytes, size_t size, const char *expected)
{
    char found[2000];
    writer_file(f->dir, "log0", bytes, size);
    enum ms_status status = read_all(f, found, sizeof found, NULL);
    if (status != MS_FORMAT && status != MS_USAGE && status != MS_CONFIG && status != MS_MEMORY)
        fail_msg("%s\nexpected: %s", found, expected);
    if (!strstr(found, "log0: ") || !strstr(found, expected))
        fail_msg("%s\nexpected: %s", found, expected);
}

static void refuses(struct fixture *f, const char *text, const char *expected)
{
    refuses_bytes(f, text, strlen(text), expected);
}

#define HEADER "user_id,item_id,timestamp\n"
#define PAIR   "u b  2000@2\nu a  1000@3"

static void separators(void **state)
{
    struct fixture *f = *state;
    gives(f, "user_id\titem_id\ttimestamp\nu\tb\t2\nu\ta\t1\n", PAIR);
    gives(f, "x;user_id;item_id;timestamp\n\"1,5;\";u;b;2\n;u;a;1\n", PAIR);
    gives(f, "user_id|item_id|timestamp\r\nu|b|2\r\nu|a|1", PAIR);
    gives(f, "user_id, item_id, timestamp\nu, b, 2\nu, a, 1\n", PAIR);
    gives(f, "\"user_id\",\"item_id\",\"a;b;c;d\"\nu,b,\nu,a,\n", "u b  0@2\nu a  0@3");
    refuses(f, "user_id item_id\nu a\n",
            "it is one cell: user_id item_id; name what separates cells with --separator");
    gives(f, "# user_id,item_id,timestamp\nu,b,2e0\nu,a,1\n", PAIR); /* numpy.savetxt */
    gives(f, " user_id ,item_id , timestamp\nu,b,2\nu,a, 1\n", PAIR);
    f->options.separator = ' ';
    gives(f, "user_id item_id timestamp\nu b 2\nu a 1\n", PAIR);
    f->options.separator = ':';
    f->options.columns = "user_id,,item_id,,rating,,timestamp";
    gives(f, "1::1193::5::978300760\n", "1 1193  978300760000@1");
}

/* What spreadsheets write. */
static void spreadsheets(void **state)
{
    struct fixture *f = *state;
    gives(f, "\xef\xbb\xbfsep=;\r\nuser_id;item_id;timestamp\r\nu;\"b\r\nb\";2\r\nu;=\"007\";1\r\n",
          "u b\nb  2000@3\nu 007  1000@5");
    gives(f, "\"sep=,\"\nuser_id,item_id,timestamp\n\"u\",\"=\"\"007\"\"\",2\n", "u 007  2000@3");
    gives(f, "\xef\xbb\xbf\"user_id\",\"item_id\",\"timestamp\"\n\"u\",\"b\",\"2020-09-13 12:26:40\"\n",
          "u b  1600000000000@2");
    f->options.separator = ';'; /* given and written */
    gives(f, "sep=;\nuser_id;item_id\nu;a\n", "u a  0@3");
    f->options.separator = 0;
    refuses(f, "user_id,item_id,\"a\nb\"\rx\nu,a,1\n",
            "the header: column 3: text follows the end of a quoted cell");
    refuses(f, "user_id,item_id\ru,a\ru,b\r", "line 1: lines end in a carriage return alone");
}

/* RecBole's types behind the names. */
static void typed_names(void **state)
{
    struct fixture *f = *state;
    gives(f, "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu\tb\t3\t2\nu\ta\t3\t1.0\n", PAIR);
    refuses(
        f, "user_id:text\titem_id:token\nu\ta\n",
        "line 1: the header has no column 'user_id', but user_id:text, item_id:token; name it with --user");
    refuses(f, "user_id:token\tuser_id\titem_id\nu\tu\ta\n", "the header has column 'user_id' twice");
    f->options.user = "user_id:text";
    gives(f, "user_id:text\titem_id:token\nu\ta\n", "u a  0@2");
}

static void no_header(void **state)
{
    struct fixture *f = *state;
    refuses(f, "u,b,77,pv,2\n",
            "but u, b, 77, pv, 2; name it with --user, or name all columns with --columns");
    f->options.columns = "user_id,item_id,category,type,timestamp";
    gives(f, "u,b,77,pv,2\nu,a,77,pv,1\n", "u b  2000@1\nu a  1000@2");
    gives(f, "u\tb\t77\tpv\t2\nu\ta\t77\tpv\t1\n", "u b  2000@1\nu a  1000@2");
    gives(f, "u;b;1,5,5,5,5;pv;2\n", "u b  2000@1");
    gives(f, "user_id,item_id,category,type,timestamp\nu,b,77,pv,2\n",
          "u b  2000@2"); /* it has one after all */
    refuses(f, "u,b,2\n", "line 1: 3 cells, --columns names 5");
    refuses(f, "{\"user_id\":\"u\"}\n", "the log is JSON, and --columns is for CSV");
    f->options.columns = "user,item_id";
    refuses(f, "u,b\n", "--columns has no column 'user_id', but user, item_id");
    f->options.columns = "user_id,\"item_id";
    refuses(f, "u,b\n", "--columns: a quoted cell does not end");
}

static void json_kinds(void **state)
{
    struct fixture *f = *state;
    gives(
        f,
        "{\"user_id\":\"u\",\"item_id\":\"b\",\"timestamp\":2}\n\r\n{\"user_id\":\"u\",\"item_id\":5,\"timestamp\":1}\r\n",
        "u b  2000@1\nu 5  1000@3");
    gives(
        f,
        "\xef\xbb\xbf [\n{\"user_id\":\"u\",\"item_id\":\"b\",\"timestamp\":2},\n{\"user_id\":\"u\",\"item_id\":\"a\"\n,\"timestamp\":1}\n]\n",
        PAIR);
    gives(f, "[{\"user_id\":\"u\",\"item_id\":\"]},\\\"\",\"timestamp\":2}]", "u ]},\"  2000@1");
    gives(f, "[]", "");
    gives(f, "{\n \"user_id\": \"u\",\n \"item_id\": \"b\"\n}\n{\"user_id\": \"u\", \"item_id\": \"a\"}",
          "u b  0@1\nu a  0@5");
    refuses(f, "[{\"user_id\":\"u\",\"item_id\":\"b\"},\n3]",
            "line 2: not an event: the value is 3, expected an object");
    refuses(f, "[{\"user_id\":\"u\",\"item_id\":\"b\"}\n{}]",
            "line 2: the elements of the array are not separated");
    refuses(f, "[{\"user_id\":\"u\",\"item_id\":\"b\"},\n]",
            "line 2: the elements of the array are not separated");
    refuses(f, "[,]", "line 1: the elements of the array are not separated");
    refuses(f, "[{\"user_id\":\"u\",\"item_id\":\"b\"}]\n[]",
            "line 2: something follows the end of the array");
    refuses(f, "[{\"user_id\":\"u\",\"item_id\":\"b\"}\n", "the array does not end: is the file cut off?");
    refuses(f, "[{\"user_id\":\"u\",\n\"item_id\":", "line 1: not an event: the value is not JSON");
    refuses(f, "{\"user_id\":\"u\",\"item_id\":\"b\"}\n{\n", "line 2: not an event: the value is not JSON");
    f->options.user = "a..b";
    refuses(f, "{}", "the log is JSON: --user: \"a..b\" does not parse at character 3");
    gives(f, "a..b,item_id\nu,a\n", "u a  0@2"); /* columns have any name */
}

static void write_packed(struct fixture *f, bool gzip, const char *text, size_t half, char *bytes,
                         size_t *size)
{
    size_t sizes[2] = {half, strlen(text) - half};
    *size = 0;
    for (int part = 0; part < 2; part++) { /* two members, one after the other */
        const char *from = text + (part ? half : 0);
        if (gzip) {
            z_stream z = {0};
            assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
            z.next_in = (Bytef *)(uintptr_t)from;
            z.avail_in = (uInt)sizes[part];
            z.next_out = (Bytef *)bytes + *size;
            z.avail_out = 1000;
            assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
            *size += z.total_out;
            assert_int_equal(deflateEnd(&z), Z_OK);
        } else {
            ZSTD_CCtx *zstd = ZSTD_createCCtx();
            assert_non_null(zstd);
            ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
            size_t n = ZSTD_compress2(zstd, bytes + *size, 1000, from, sizes[part]);
            assert_false(ZSTD_isError(n));
            *size += n;
            ZSTD_freeCCtx(zstd);
        }
    }
    writer_file(f->dir, "log0", bytes, *size);
}

static void compressed(void **state)
{
    struct fixture *f = *state;
    for (int gzip = 0; gzip < 2; gzip++) {
        char bytes[3000];
        size_t size;
        write_packed(f, gzip, HEADER "u,b,2\nu,a,1\n", 20, bytes, &size);
        gives_bytes(f, bytes, size, PAIR);
        refuses_bytes(f, bytes, size - 4,
                      gzip ? "the gzip data are damaged (cut off)" : "the zstd data are damaged (cut off)");
        memset(bytes + size, 0, 600);
        if (gzip)
            gives_bytes(f, bytes, size + 600, PAIR); /* zeros may follow */
        memcpy(bytes + size, "more", 4);
        refuses_bytes(f, bytes, size + 4, gzip ? "the gzip data are damaged" : "the zstd data are damaged");
        bytes[size - 6] ^= 1;
        refuses_bytes(f, bytes, size, gzip ? "the gzip data are damaged" : "the zstd data are damaged");
        write_packed(f, gzip, "PK\3\4\1\2\3\1\2\3", 3, bytes, &size);
        refuses_bytes(f, bytes, size, "the log is a zip archive");
    }
}

/* Every kind of bad record: an error that names the cause, passed over where that is asked for. */
static void bad_records(void **state)
{
    static const struct {
        const char *record, *expected;
        enum ms_passed reason;
    } csv[] =
        {
            {"u,a,", "line 3: time: column 3 is empty; --skip untimed", MS_PASSED_UNTIMED},
            {"u,a, ", "line 3: time: column 3 is empty", MS_PASSED_UNTIMED},
            {"u,a,NaN", "line 3: time: column 3 is no value", MS_PASSED_UNTIMED},
            {"u,a,\"\"", "line 3: time: column 3 is empty", MS_PASSED_UNTIMED},
            {"u,a,soon", "line 3: time: column 3 is 'soon'", MS_PASSED_TIME},
            {"u,a,20231114221320", "line 3: time: column 3 is '20231114221320'", MS_PASSED_TIME},
            {",a,1", "line 3: user: column 1 is empty", MS_PASSED_USER},
            {"\\N,a,1", "line 3: user: column 1 is \\N, which stands for no value", MS_PASSED_USER},
            {"u,\xff\x1b,1", "line 3: item: column 2 is not UTF-8", MS_PASSED_ITEM},
            {"u,NULL,1", "line 3: item: column 2 is NULL", MS_PASSED_ITEM},
            {"u,a", "line 3: 2 cells, the header has 3", MS_PASSED_SHAPE},
            {"u,a,1,", "line 3: 4 cells, the header has 3", MS_PASSED_SHAPE},
            {"u,a\"b\",1", "line 3: column 2: a quote stands in a cell", MS_PASSED_SHAPE},
            {"u,\"the \\\"best\\\" of\",1",
             "column 2: text follows the end of a quoted cell: a quote in it is doubled, or needs --quotes backslash",
             MS_PASSED_SHAPE},
        },
      json[] = {
          {"{\"user_id\":\"u\",\"item_id\":\"a\"}",
           "time: none in the event (looked for \"timestamp\"); --skip untimed", MS_PASSED_UNTIMED},
          {"{\"user_id\":\"u\",\"item_id\":\"a\",\"timestamp\":\"\"}", "time: \"timestamp\" is \"\"",
           MS_PASSED_UNTIMED},
          {"{\"user_id\":\"u\",\"item_id\":\"a\",\"timestamp\":null}", "time: none in the event",
           MS_PASSED_UNTIMED},
          {"{\"user_id\":\"u\",\"item_id\":\"a\",\"timestamp\":\"x\"}", "\"timestamp\" is \"x\"",
           MS_PASSED_TIME},
          {"{\"user_id\":true,\"item_id\":\"a\",\"timestamp\":1}", "user: \"user_id\" is true",
           MS_PASSED_USER},
          {"{\"user_id\":\"u\",\"timestamp\":1}", "item: none in the event", MS_PASSED_ITEM},
          {"[1]", "line 3: not an event: the value is an array", MS_PASSED_SHAPE},
          {"{\"user_id\":", "line 3: not an event: the value is not JSON", MS_PASSED_SHAPE},
      };
    struct fixture *f = *state;
    char text[1000], found[2000];
    struct ms_passed_counts counts;
    for (size_t i = 0; i < COUNT(csv) + COUNT(json); i++) {
        bool is_csv = i < COUNT(csv);
        const char *good = is_csv ? "u,b,2\n" : "{\"user_id\":\"u\",\"item_id\":\"b\",\"timestamp\":2}\n";
        const char *bad = is_csv ? csv[i].record : json[i - COUNT(csv)].record;
        enum ms_passed reason = is_csv ? csv[i].reason : json[i - COUNT(csv)].reason;
        snprintf(text, sizeof text, "%s%s%s\n%s", is_csv ? HEADER : good, good, bad, good);
        assert_int_equal(ms_passed_parse(NULL, &f->options.passed, NULL), MS_OK);
        refuses(f, text, is_csv ? csv[i].expected : json[i - COUNT(csv)].expected);
        assert_int_equal(ms_passed_parse(ms_passed_name(reason), &f->options.passed, NULL), MS_OK);
        assert_int_equal(read_all(f, found, sizeof found, &counts), MS_OK);
        assert_string_equal(found,
                            is_csv ? "u b  2000@2\nu b  2000@4" : "u b  2000@1\nu b  2000@2\nu b  2000@4");
        for (unsigned r = 0; r < MS_PASSED_COUNT; r++)
            assert_int_equal(counts.count[r], r == reason);
        assert_non_null(strstr(counts.first[reason], "log0: line 3: "));
        assert_non_null(strstr(ms_passed_text(reason), "s"));
    }
}

static void times(void **state)
{
    struct fixture *f = *state;
    static const char late[] =
        "{\"user_id\":\"u\",\"item_id\":\"a\"}\n{\"user_id\":\"u\",\"item_id\":\"b\",\"timestamp\":3}\n";
    refuses(f, late, "line 2: it has a time, but the log's first event has none");
    f->options.passed |= 1u << MS_PASSED_UNTIMED;
    gives(f, late, "u b  3000@2");
    gives(f, HEADER "u,a,1.700000000123E9\nu,a,1.700000000124000000e+09\nu,b,20231114\n",
          "u a  1700000000123@2\nu a  1700000000124@3\nu b  1699920000000@4");
    f->options.time = "";
    gives(f, HEADER "u,a,never\n", "u a  0@2");
    f->options.time = "when";
    refuses(f, HEADER "u,a,1\n", "the header has no column 'when'");
}

static void types(void **state)
{
    struct fixture *f = *state;
    struct ms_passed_counts counts;
    char found[2000];
    f->options.types = "pv, buy";
    gives(f, "user_id,item_id,event_type\nu,a,pv\nu,,cart\nu,b,buy\n", "u a pv 0@2\nu b buy 0@4");
    assert_int_equal(read_all(f, found, sizeof found, &counts), MS_OK);
    assert_int_equal(counts.count[MS_PASSED_TYPE], 1);
    assert_non_null(strstr(counts.first[MS_PASSED_TYPE], "log0: line 3"));
    gives(
        f,
        "{\"user_id\":1,\"item_id\":2,\"event_type\":\"cart\"}\n{\"user_id\":1,\"item_id\":2,\"event_type\":\"pv\"}",
        "1 2 pv 0@2");
    refuses(f, HEADER "u,a,1\n",
            "the header has no column 'event_type', but user_id, item_id, timestamp; name it with --type");
    f->options.type = "kind";
    f->options.types = NULL;
    refuses(f, "user_id,item_id,kind\nu,a,\xff\n", "line 2: type: column 3 is not UTF-8");
    gives(f, "user_id,item_id,kind\nu,a,pv\n", "u a pv 0@2");
    f->options.types = "a,,b";
    assert_int_not_equal(read_all(f, found, sizeof found, NULL), MS_OK);
}

static void quotes(void **state)
{
    struct fixture *f = *state;
    f->options.quotes = MS_CSV_BACKSLASH;
    gives(f, HEADER "u,\"the \\\"best\\\"\nof\",2\n", "u the \"best\"\nof  2000@2");
    f->options.quotes = MS_CSV_PLAIN;
    gives(f, "user_id\titem_id\nu\t\"Heroes\nu\t\"Weird Al\" Y\n", "u \"Heroes  0@2\nu \"Weird Al\" Y  0@3");
}

static void several_files(void **state)
{
    struct fixture *f = *state;
    char found[2000];
    struct ms_passed_counts counts;
    f->options.path_count = 2;
    static const char second[] = "{\"user_id\":\"v\",\"item_id\":\"c\",\"timestamp\":3}\n";
    writer_file(f->dir, "log1", second, strlen(second));
    gives(f, HEADER "u,b,2\nu,a,1\n", PAIR "\nv c  3000@1");
    static const char untimed[] = "user_id,item_id\nv,c\n";
    writer_file(f->dir, "log1", untimed, strlen(untimed));
    assert_int_equal(read_all(f, found, sizeof found, NULL), MS_FORMAT);
    assert_non_null(strstr(found, "log1: line 1: the log has no times, and what came before it has some"));
    f->options.path_count = 1;
    gives(f, HEADER "u,b,2\n" HEADER "\nu,a,1\n", "u b  2000@2\nu a  1000@5"); /* cat of two files */
    assert_int_equal(read_all(f, found, sizeof found, &counts), MS_OK);
    assert_int_equal(counts.count[MS_PASSED_HEADER], 1);
    assert_int_equal(counts.count[MS_PASSED_BLANK], 1);
    f->options.passed = MS_PASSED_STRICT;
    refuses(f, HEADER "u,b,2\n" HEADER, "line 3: repeated headers are not passed over with --strict");
    refuses(f, HEADER "\nu,b,2\n", "line 2: blank lines are not passed over with --strict");
}

static void other_contents(void **state)
{
    struct fixture *f = *state;
    char tar[600] = "clicks.csv";
    refuses(f, "", "the log is empty");
    refuses(f, " \n\r\n", "the log is empty");
    refuses(f, "sep=;\n", "there is no header");
    refuses_bytes(f, "PAR1\x15\x04\0\n", 8, "the log is Parquet");
    refuses(f, "PK\3\4\x14\n", "the log is a zip archive or a spreadsheet");
    refuses_bytes(f, "BZh91AY\0", 8, "the log is compressed by bzip2; pipe it in: bzip2 -dc FILE");
    refuses_bytes(f, "\xfd\x37zXZ\0", 6, "compressed by xz");
    refuses_bytes(f, "\xff\xfeu\0s\0", 6, "the log is UTF-16");
    refuses_bytes(f, "u\0s\0", 4, "byte 2 is zero");
    memcpy(tar + 257, "ustar", 5);
    refuses_bytes(f, tar, sizeof tar, "the log is a tar archive");
    gives(f, "ORC,user_id,item_id\n1,u,a\n", "u a  0@2");
    f->paths[0] = f->dir;
    char found[2000];
    assert_int_equal(read_all(f, found, sizeof found, NULL), MS_IO);
    assert_non_null(strstr(found, "Is a directory"));
}

/* A quoted cell that does not end swallows what follows, up to a ceiling. */
static void endless_cell(void **state)
{
    struct fixture *f = *state;
    size_t size = MS_RECORD_MAX_BYTES + 100000;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, '\n', size);
    memcpy(text, HEADER "u,\"a", strlen(HEADER) + 4);
    refuses_bytes(f, text, size, "line 2: the record is longer than 16777216 bytes: does a quoted cell end?");
    memset(text, 'x', size);
    memcpy(text, HEADER, strlen(HEADER));
    refuses_bytes(f, text, size, "line 2: longer than 16777216 bytes");
    free(text);
    refuses(f, HEADER "u,\"a,1\nu,a,2\n", "line 2: column 2: a quoted cell does not end");
}

static void reasons(void **state)
{
    uint32_t mask = 77;
    struct ms_error error;
    (void)state;
    assert_int_equal(ms_passed_parse("untimed, time", &mask, NULL), MS_OK);
    assert_int_equal(mask, 1u << MS_PASSED_BLANK | 1u << MS_PASSED_HEADER | 1u << MS_PASSED_TYPE |
                               1u << MS_PASSED_UNTIMED | 1u << MS_PASSED_TIME);
    assert_int_equal(ms_passed_parse("all", &mask, NULL), MS_OK);
    assert_int_equal(mask, (1u << MS_PASSED_COUNT) - 1);
    assert_int_equal(ms_passed_parse("times", &mask, &error), MS_USAGE);
    assert_string_equal(error.text, "'times' is none of shape, user, item, untimed, time, all");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(separators, set_up, tear_down),
        cmocka_unit_test_setup_teardown(spreadsheets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(typed_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(compressed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(types, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quotes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(several_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_contents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(endless_cell, set_up, tear_down),
        cmocka_unit_test(reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
