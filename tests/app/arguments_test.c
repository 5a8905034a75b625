/* The table of arguments: every kind of row, both ends of every range, and what is said when a word does not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/arguments.h"
#include "app/nearest.h"

#define MOST_TAGS  3
#define MOST_WORDS 16

enum form { TEXT, JSON, XML };

struct fields {
    const char *id, *more, *file, *dir, *name, *filled, *list;
    bool all, quiet;
    int form, mode;
    int64_t count, offset, partition;
    double share, skew;
    const char *tags[MOST_TAGS];
    size_t tag_count;
};

static enum ms_status check_list(const char *option, const char *value, struct ms_error *error)
{
    return strspn(value, "ab,") == strlen(value)
               ? MS_OK
               : ms_fail(error, MS_USAGE, "%s: '%s' is no list", option, value);
}

#define AT(field) .offset = offsetof(struct fields, field)

static const struct ms_argument rows[] = {
    {.name = "ID",
     .kind = MS_ARGUMENT_STRING,
     .positional = true,
     .required = true,
     .not_empty = true,
     AT(id)},
    {.name = "MORE", .kind = MS_ARGUMENT_STRING, .positional = true, AT(more)},
    {.name = "file", .letter = 'f', .kind = MS_ARGUMENT_FILE, .once = true, .placeholder = "FILE", AT(file)},
    {.name = "dir", .kind = MS_ARGUMENT_DIRECTORY, .placeholder = "DIR", AT(dir)},
    {.name = "name", .kind = MS_ARGUMENT_STRING, .standard = "nobody", .placeholder = "NAME", AT(name)},
    {.name = "filled", .kind = MS_ARGUMENT_STRING, .not_empty = true, .placeholder = "NAME", AT(filled)},
    {.name = "list", .kind = MS_ARGUMENT_LIST, .check = check_list, .placeholder = "LIST", AT(list)},
    {.name = "all", .letter = 'a', .kind = MS_ARGUMENT_FLAG, AT(all)},
    {.name = "quiet", .letter = 'q', .kind = MS_ARGUMENT_FLAG, AT(quiet)},
    {.name = "json", .kind = MS_ARGUMENT_PICK, .pick = JSON, AT(form)},
    {.name = "xml", .kind = MS_ARGUMENT_PICK, .pick = XML, AT(form)},
    {.name = "mode",
     .kind = MS_ARGUMENT_CHOICE,
     .values = "full|incremental|off",
     .standard = "incremental",
     AT(mode)},
    {.name = "count",
     .letter = 'n',
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 64,
     .standard = "4",
     AT(count)},
    {.name = "offset", .kind = MS_ARGUMENT_INTEGER, .min = INT64_MIN, .max = INT64_MAX, AT(offset)},
    {.name = "partition", .kind = MS_ARGUMENT_INTEGER, .max = 9, .absent = -1, AT(partition)},
    {.name = "share", .kind = MS_ARGUMENT_REAL, .real_max = 1, .min_excluded = true, AT(share)},
    {.name = "skew", .kind = MS_ARGUMENT_REAL, .real_min = -1, .real_max = 10, .standard = "1.5", AT(skew)},
    {.name = "tag",
     .letter = 't',
     .kind = MS_ARGUMENT_KEY_VALUE,
     .repeatable = true,
     .max = MOST_TAGS,
     .count_offset = offsetof(struct fields, tag_count),
     AT(tags)},
    {.name = "concealed", .kind = MS_ARGUMENT_FLAG, .hidden = true, AT(quiet)},
    {0},
};

/* Parses the blank-separated |line|; "_" stands for an empty word. Returns the message, "" when all is well. */
static const char *parse_line(const char *line, struct fields *fields, bool *help)
{
    static char text[512];
    static struct ms_error error;
    char *words[MOST_WORDS], *save = NULL;
    int count = 0;
    bool asked = false;
    memset(fields, 0, sizeof *fields);
    error.text[0] = '\0';
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        assert_true(count < MOST_WORDS);
        words[count] = word;
        if (strcmp(word, "_") == 0)
            words[count][0] = '\0';
        count++;
    }
    enum ms_status status = ms_arguments_parse(rows, "tool do", count, words, fields, &asked, &error);
    assert_int_equal(status, error.text[0] ? MS_USAGE : MS_OK);
    if (help)
        *help = asked;
    return error.text;
}

static struct fields parse_good(const char *line)
{
    struct fields fields;
    bool help;
    const char *message = parse_line(line, &fields, &help);
    if (message[0])
        fail_msg("'%s': %s", line, message);
    assert_false(help);
    return fields;
}

static void assert_refused(const char *line, const char *expected)
{
    struct fields fields;
    const char *message = parse_line(line, &fields, NULL);
    if (strcmp(message, expected) != 0)
        fail_msg("'%s': got '%s', expected '%s'", line, message, expected);
}

static void test_defaults(void **state)
{
    (void)state;
    struct fields fields = parse_good("x");
    assert_string_equal(fields.id, "x");
    assert_null(fields.more);
    assert_null(fields.file);
    assert_null(fields.list);
    assert_string_equal(fields.name, "nobody");
    assert_false(fields.all);
    assert_int_equal(fields.form, TEXT);
    assert_int_equal(fields.mode, 1);
    assert_int_equal(fields.count, 4);
    assert_int_equal(fields.partition, -1);
    assert_true(fields.skew == 1.5 && fields.share == 0);
    assert_int_equal(fields.tag_count, 0);
}

/* The four ways to write a value, and options before, between and behind the positional words. */
static void test_forms(void **state)
{
    (void)state;
    static const char *const lines[] = {"--count 7 --file f x y", "x --count=7 y -f f", "-n7 x y -ff",
                                        "x -n 7 y --file=f", "-an7 x y -qff"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct fields fields = parse_good(lines[i]);
        assert_string_equal(fields.id, "x");
        assert_string_equal(fields.more, "y");
        assert_string_equal(fields.file, "f");
        assert_int_equal(fields.count, 7);
        assert_int_equal(fields.all, i == 4);
        assert_int_equal(fields.quiet, i == 4);
    }
    assert_string_equal(parse_good("x --name=a=b").name, "a=b");
    assert_string_equal(parse_good("x --name=").name, "");
    assert_string_equal(parse_good("x --name _").name, "");
    assert_string_equal(parse_good("x --name --all").name, "--all");
    assert_string_equal(parse_good("-").id, "-");
    assert_true(parse_good("x --concealed").quiet);
    struct fields joined = parse_good("x -aq");
    assert_true(joined.all && joined.quiet);
}

static void test_double_dash(void **state)
{
    (void)state;
    struct fields fields = parse_good("--all -- --json --");
    assert_string_equal(fields.id, "--json");
    assert_string_equal(fields.more, "--");
    assert_true(fields.all);
    assert_int_equal(fields.form, TEXT);
    assert_refused("x y -- -q", "one argument too many: '-q'; see 'tool do --help'");
    assert_refused("--", "ID is missing; see 'tool do --help'");
}

/* Of an option that is given twice the last counts, but where once is asked for. */
static void test_repeated(void **state)
{
    (void)state;
    assert_int_equal(parse_good("x -n 3 --count 5").count, 5);
    assert_int_equal(parse_good("x --json --xml").form, XML);
    assert_int_equal(parse_good("x --xml --json").form, JSON);
    assert_refused("x -f a --file b", "--file is given twice (a and b)");
    struct fields fields = parse_good("x --tag a=1 -t b= -tc=d=e");
    assert_int_equal(fields.tag_count, 3);
    assert_string_equal(fields.tags[0], "a=1");
    assert_string_equal(fields.tags[1], "b=");
    assert_string_equal(fields.tags[2], "c=d=e");
    assert_refused("x -t a=1 -t a=1 -t a=1 -t a=1", "more than 3 -t");
}

static void test_integer_range(void **state)
{
    (void)state;
    assert_int_equal(parse_good("x --count 1").count, 1);
    assert_int_equal(parse_good("x --count 64").count, 64);
    assert_int_equal(parse_good("x --count 007").count, 7);
    assert_int_equal(parse_good("x --partition 0").partition, 0);
    assert_int_equal(parse_good("x --partition 9").partition, 9);
    assert_int_equal(parse_good("x --offset 9223372036854775807").offset, INT64_MAX);
    assert_int_equal(parse_good("x --offset -9223372036854775808").offset, INT64_MIN);
    static const char *const bad[] = {
        "0", "65", "-1", "1.0", "1e1", "0x1", "+1", "5x", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char line[64], expected[128];
        snprintf(line, sizeof line, "x --count %s", bad[i]);
        snprintf(expected, sizeof expected, "--count %s: a whole number from 1 to 64 is needed", bad[i]);
        assert_refused(line, expected);
    }
    assert_refused("x -n _", "-n '': a whole number from 1 to 64 is needed");
    assert_refused("x --partition 10", "--partition 10: a whole number from 0 to 9 is needed");
    assert_refused("x --partition -1", "--partition -1: a whole number from 0 to 9 is needed");
    assert_refused("x --partition -0", "--partition -0: a whole number from 0 to 9 is needed");
    assert_refused(
        "x --offset 9223372036854775808",
        "--offset 9223372036854775808: a whole number from -9223372036854775808 to 9223372036854775807 is needed");
    assert_refused("x --offset -",
                   "--offset -: a whole number from -9223372036854775808 to 9223372036854775807 is needed");
}

static void test_real_range(void **state)
{
    (void)state;
    assert_true(parse_good("x --skew -1").skew == -1);
    assert_true(parse_good("x --skew 10").skew == 10);
    assert_true(parse_good("x --skew .25").skew == 0.25);
    assert_true(parse_good("x --skew 1e-1").skew == 0.1);
    assert_true(parse_good("x --share 1").share == 1);
    assert_true(parse_good("x --share 1e-9").share == 1e-9);
    static const char *const bad[] = {"-1.001", "10.001", "nan", "inf", "0x1", "1.2.3", "e", "-", "1e999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char line[64], expected[128];
        snprintf(line, sizeof line, "x --skew %s", bad[i]);
        snprintf(expected, sizeof expected, "--skew %s: a number from -1 to 10 is needed", bad[i]);
        assert_refused(line, expected);
    }
    assert_refused("x --share 0", "--share 0: a number above 0, at most 1 is needed");
    assert_refused("x --share 1.0001", "--share 1.0001: a number above 0, at most 1 is needed");
    assert_refused("x --share=", "--share '': a number above 0, at most 1 is needed");
}

static void test_choice(void **state)
{
    (void)state;
    assert_int_equal(parse_good("x --mode full").mode, 0);
    assert_int_equal(parse_good("x --mode incremental").mode, 1);
    assert_int_equal(parse_good("x --mode off").mode, 2);
    static const char *const bad[] = {"ful", "fulll", "full|incremental", "FULL", "of"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char line[64], expected[128];
        snprintf(line, sizeof line, "x --mode %s", bad[i]);
        snprintf(expected, sizeof expected, "--mode %s: full, incremental or off is needed", bad[i]);
        assert_refused(line, expected);
    }
}

static void test_texts(void **state)
{
    (void)state;
    assert_string_equal(parse_good("x --list a,b").list, "a,b");
    assert_string_equal(parse_good("x --dir /d").dir, "/d");
    assert_string_equal(parse_good("x --filled y").filled, "y");
    assert_refused("x --list a;b", "--list: 'a;b' is no list");
    assert_refused("x --file _", "--file '': a file is needed");
    assert_refused("x --dir=", "--dir '': a directory is needed");
    assert_refused("x --filled=", "--filled '': a value is needed");
    assert_refused("_", "ID '': a value is needed");
    assert_refused("x --tag a", "--tag: KEY=VALUE is needed");
    assert_refused("x --tag =a", "--tag: KEY=VALUE is needed");
}

static void test_missing(void **state)
{
    (void)state;
    assert_refused("", "ID is missing; see 'tool do --help'");
    assert_refused("--all", "ID is missing; see 'tool do --help'");
    assert_refused("x --file", "--file needs a file");
    assert_refused("x -f", "-f needs a file");
    assert_refused("x -aqn", "-n needs a whole number from 1 to 64");
    assert_refused("x --dir", "--dir needs a directory");
    assert_refused("x --mode", "--mode needs full, incremental or off");
    assert_refused("x --tag", "--tag needs KEY=VALUE");
    assert_refused("x --name", "--name needs a value");
    assert_refused("x --all=yes", "--all takes no value, but got 'yes'");
    assert_refused("x --json=", "--json takes no value, but got ''");
    assert_refused("x y z", "one argument too many: 'z'; see 'tool do --help'");
}

static void test_required_option(void **state)
{
    (void)state;
    static const struct ms_argument needs[] = {
        {.name = "dir", .kind = MS_ARGUMENT_DIRECTORY, .required = true, .placeholder = "DIR", AT(dir)}, {0}};
    char *stray[] = {(char[]){"stray"}};
    struct fields fields = {0};
    struct ms_error error;
    bool help;
    assert_int_equal(ms_arguments_parse(needs, "tool", 0, NULL, &fields, &help, &error), MS_USAGE);
    assert_string_equal(error.text, "--dir DIR is missing; see 'tool --help'");
    assert_int_equal(ms_arguments_parse(needs, "tool", 1, stray, &fields, &help, &error), MS_USAGE);
    assert_string_equal(error.text, "unexpected argument 'stray'; see 'tool --help'");
}

static void test_unknown(void **state)
{
    (void)state;
    assert_refused("x --cuont 3", "unknown option --cuont (did you mean --count?)");
    assert_refused("x --moed=full", "unknown option --moed (did you mean --mode?)");
    assert_refused("x --hlep", "unknown option --hlep (did you mean --help?)");
    assert_refused("x -xyz", "unknown option -x in -xyz; 'tool do --help' lists the options");
    assert_refused("x -axq", "unknown option -x in -axq; 'tool do --help' lists the options");
    assert_refused("x -x", "unknown option -x; 'tool do --help' lists the options");
    assert_refused("x -mode", "unknown option -m in -mode (did you mean --mode?)");
    assert_refused("x --zzzzzzz", "unknown option --zzzzzzz; 'tool do --help' lists the options");
    assert_refused("x --ID", "unknown option --ID; 'tool do --help' lists the options");
    /* A hidden option is not offered. */
    assert_refused("x --conceale", "unknown option --conceale; 'tool do --help' lists the options");
}

/* A name that is only begun is another name. */
static void test_abbreviations(void **state)
{
    (void)state;
    static const char *const names[] = {"dir",   "name", "filled", "list",     "all",
                                        "quiet", "mode", "count",  "partition"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char line[64], begin[64];
        struct fields fields;
        snprintf(line, sizeof line, "x --%.*s 3", (int)strlen(names[i]) - 1, names[i]);
        snprintf(begin, sizeof begin, "unknown option --%.*s (did you mean --", (int)strlen(names[i]) - 1,
                 names[i]);
        assert_memory_equal(parse_line(line, &fields, NULL), begin, strlen(begin));
    }
}

/* Help needs nothing else to be right behind it, but what comes before it is read. */
static void test_help(void **state)
{
    (void)state;
    static const char *const lines[] = {"--help", "-h", "x -ah", "-hz", "--help --zzz", "x y -h z --count 0"};
    struct fields fields;
    bool help = false;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_string_equal(parse_line(lines[i], &fields, &help), "");
        assert_true(help);
    }
    assert_refused("--zzzzzzz --help", "unknown option --zzzzzzz; 'tool do --help' lists the options");
    assert_string_equal(parse_good("-- --help").id, "--help");
    assert_refused("x --help=yes", "--help takes no value, but got 'yes'");
}

/* A default that its own row refuses is a defect of the table, and is told as one. */
static void test_bad_default(void **state)
{
    (void)state;
    static const struct ms_argument bad[] = {
        {.name = "count", .kind = MS_ARGUMENT_INTEGER, .min = 1, .max = 2, .standard = "3", AT(count)}, {0}};
    struct fields fields = {0};
    struct ms_error error;
    bool help;
    assert_int_equal(ms_arguments_parse(bad, "tool", 0, NULL, &fields, &help, &error), MS_USAGE);
    assert_string_equal(error.text, "the default of count: count 3: a whole number from 1 to 2 is needed");
}

static void test_find(void **state)
{
    (void)state;
    assert_string_equal(ms_argument_find(rows, "--count")->name, "count");
    assert_string_equal(ms_argument_find(rows, "--count=5")->name, "count");
    assert_string_equal(ms_argument_find(rows, "-n")->name, "count");
    assert_string_equal(ms_argument_find(rows, "-h")->name, "help");
    static const char *const none[] = {"count", "-", "--", "--coun", "--counts", "-z", "-n5", "--ID", ""};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_null(ms_argument_find(rows, none[i]));
}

static const char *nearest_of(const char *word, const char *const *candidates)
{
    struct ms_nearest nearest = ms_nearest_start(word);
    for (; *candidates; candidates++)
        ms_nearest_try(&nearest, *candidates);
    return nearest.best ? nearest.best : "";
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"mode", "model", "threads", "x", NULL};
    assert_string_equal(nearest_of("mode", words), "mode");
    assert_string_equal(nearest_of("modell", words), "model");
    assert_string_equal(nearest_of("tread", words), "threads");
    assert_string_equal(nearest_of("mdoe", words), "mode"); /* exchanged neighbours are one edit */
    assert_string_equal(nearest_of("omdel", words), "model");
    assert_string_equal(nearest_of("hreadss", words), "threads");
    assert_string_equal(nearest_of("abcdef", words), "");
    assert_string_equal(nearest_of("y", words), ""); /* every letter would be another */
    assert_string_equal(nearest_of("", words), "");
    /* Of equally near ones the first. */
    assert_string_equal(nearest_of("modes", words), "mode");
    char longest[MS_NEAREST_MAX_BYTES + 2];
    memset(longest, 'a', sizeof longest);
    longest[MS_NEAREST_MAX_BYTES] = '\0';
    const char *const same[] = {longest, NULL};
    assert_string_equal(nearest_of(longest, same), longest);
    char longer[MS_NEAREST_MAX_BYTES + 2];
    memset(longer, 'a', sizeof longer);
    longer[MS_NEAREST_MAX_BYTES + 1] = '\0';
    assert_string_equal(nearest_of(longer, same), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),      cmocka_unit_test(test_forms),
        cmocka_unit_test(test_double_dash),   cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_integer_range), cmocka_unit_test(test_real_range),
        cmocka_unit_test(test_choice),        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_missing),       cmocka_unit_test(test_required_option),
        cmocka_unit_test(test_unknown),       cmocka_unit_test(test_abbreviations),
        cmocka_unit_test(test_help),          cmocka_unit_test(test_bad_default),
        cmocka_unit_test(test_find),          cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
