/* Settings: which source wins, what is refused and in which words, what is secret. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/machine.h"
#include "app/options.h"
#include "base/log.h"
#include "mindstream/record.h"
#include "stream/source.h"

/* Loads settings from up to one file text, one environment and --set values; the file's path starts its
 * messages. */
static enum ms_status load(struct ms_options **options, const char *file_text, const char *const *environment,
                           const char *const *set, struct ms_error *error)
{
    static struct ms_options_sources sources;
    char path[] = "/tmp/ms-options-XXXXXX";
    memset(&sources, 0, sizeof sources);
    if (file_text) {
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, file_text, strlen(file_text)), (ssize_t)strlen(file_text));
        close(fd);
        sources.file = path;
    }
    sources.environment = (char *const *)environment;
    for (; set && *set; set++)
        sources.set[sources.set_count++] = *set;
    enum ms_status status = ms_options_load(options, &sources, error);
    if (file_text)
        unlink(path);
    return status;
}

static struct ms_options *load_set(const char *set)
{
    struct ms_options *options = NULL;
    struct ms_error error = {0};
    const char *const sets[] = {set, NULL};
    if (load(&options, NULL, NULL, sets, &error) != MS_OK)
        fail_msg("%s: %s", set, error.text);
    return options;
}

static void test_defaults(void **state)
{
    (void)state;
    struct ms_options *options = NULL;
    assert_int_equal(load(&options, NULL, NULL, NULL, NULL), MS_OK);
    const struct ms_config *config = ms_options_config(options);
    assert_string_equal(config->application_id, "");
    assert_string_equal(config->input_user_field, "user_id");
    assert_string_equal(config->input_item_field, "item_id");
    assert_string_equal(config->input_time_field, "timestamp");
    assert_string_equal(config->input_type_field, "event_type");
    assert_string_equal(config->input_types, "");
    assert_string_equal(config->input_format, "json");
    assert_int_equal(config->input_start, MS_START_EARLIEST);
    assert_int_equal(config->input_id_max_bytes, 1024);
    assert_int_equal(config->output_format, MS_RECORD_PROTOBUF);
    assert_int_equal(config->output_layout, MS_LAYOUT_USER);
    assert_int_equal(config->publish_mode, MS_PUBLISH_LATEST);
    assert_int_equal(config->processing_guarantee, MS_EXACTLY_ONCE);
    assert_int_equal(config->commit_interval_ms, 100);
    assert_int_equal(config->state_behaviors_max, 200);
    assert_int_equal(config->state_flush_interval_ms, 1000);
    assert_int_equal(config->workers, ms_machine_cores());
    assert_int_equal(config->state_memory_bytes, ms_machine_memory_bytes() / 4);
    assert_int_equal(config->routing_mode, MS_ROUTING_AUTO);
    assert_string_equal(config->routing_decay, "auto");
    assert_string_equal(config->routing_half_life, "");
    assert_string_equal(config->log_level, "info");
    assert_int_equal(config->profile_order, MS_PROFILE_BEFORE_INTEREST);
    assert_true(config->group_static);
    assert_false(config->fail_fast);
    assert_int_equal(config->passthrough_count, 0);
    ms_options_destroy(options);
}

/* Two shells, one after the other, must not need the same default: each text of the table is a legal value.
 */
static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ms_option_count; i++) {
        const struct ms_option *option = &ms_option_table[i];
        assert_ptr_equal(ms_option_find(option->key), option);
        assert_non_null(option->group);
        size_t size = strlen(option->description);
        assert_true(size > 10 && option->description[size - 1] == '.');
        for (size_t j = 0; j < i; j++) {
            if (!option->only && !ms_option_table[j].only)
                assert_int_not_equal(option->offset, ms_option_table[j].offset);
        }
        /* The environment's names must lead back to the key. */
        assert_int_equal(strspn(option->key, "abcdefghijklmnopqrstuvwxyz."), strlen(option->key));
    }
    assert_null(ms_option_find("nothing"));
}

static void test_precedence(void **state)
{
    (void)state;
    const char *const environment[] = {"HOME=/",
                                       "MINDSTREAM=/bin/x",
                                       "MINDSTREAM_WORKERS=3",
                                       "MINDSTREAM_STATE_DIR=/e",
                                       "MINDSTREAM_SERVICE_HOST=10.0.0.1",
                                       "MINDSTREAM_PORT_80_TCP=x",
                                       "MINDSTREAM_KAFKA_SASL_PASSWORD=hush",
                                       NULL};
    const char *const set[] = {"state.dir=/s1", "state.dir=/s2", "kafka.client.rack=a=b", NULL};
    const char *file = "# comment\nworkers = 2\nstate.dir: /f\npublish.mode every\nkafka.sasl.password=file\n"
                       "consumer.client.rack=z\ninput.topic=a\ninput.topic=b\n";
    struct ms_options *options = NULL;
    struct ms_error error = {0};
    if (load(&options, file, environment, set, &error) != MS_OK)
        fail_msg("%s", error.text);
    const struct ms_config *config = ms_options_config(options);
    assert_int_equal(config->workers, 3);
    assert_string_equal(config->state_dir, "/s2");
    assert_int_equal(config->publish_mode, MS_PUBLISH_EVERY);
    assert_string_equal(config->input_topic, "b");
    /* kafka.* comes before consumer.*, whatever the order it was given in. */
    assert_int_equal(config->passthrough_count, 3);
    assert_string_equal(config->passthrough[0].key, "sasl.password");
    assert_string_equal(config->passthrough[0].value, "hush");
    assert_true(config->passthrough[0].secret && config->passthrough[0].consumer &&
                config->passthrough[0].producer);
    assert_string_equal(config->passthrough[1].key, "client.rack");
    assert_string_equal(config->passthrough[1].value, "a=b");
    assert_string_equal(config->passthrough[2].value, "z");
    assert_true(config->passthrough[2].consumer && !config->passthrough[2].producer);
    assert_false(config->passthrough[2].secret);
    struct ms_option_text text = ms_options_text(options, ms_option_find("workers"));
    assert_string_equal(text.where, "environment MINDSTREAM_WORKERS");
    ms_options_destroy(options);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        int64_t bytes, flush_ms;
    } cases[] = {
        {"state.memory.bytes=1M", 1048576, 1000},    {"state.memory.bytes=2g", (int64_t)2 << 30, 1000},
        {"state.memory.bytes=4096k", 4194304, 1000}, {"state.memory.bytes=3000000", 3000000, 1000},
        {"state.flush.interval.ms=250", 0, 250},     {"state.flush.interval.ms=250ms", 0, 250},
        {"state.flush.interval.ms=10s", 0, 10000},   {"state.flush.interval.ms=5m", 0, 300000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ms_options *options = load_set(cases[i].set);
        if (cases[i].bytes)
            assert_int_equal(ms_options_config(options)->state_memory_bytes, cases[i].bytes);
        assert_int_equal(ms_options_config(options)->state_flush_interval_ms, cases[i].flush_ms);
        ms_options_destroy(options);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        const char *text; /* must be in the message */
    } cases[] = {
        {"comit.interval.ms=5", "--set: unknown key comit.interval.ms; did you mean commit.interval.ms?"},
        {"input.topics=x", "did you mean input.topic?"},
        {"zzz=1", "unknown key zzz; 'mindstream config' lists"},
        {"commit.interval.ms=0", "commit.interval.ms=0 is out of range: 1 to 10000 ms"},
        {"commit.interval.ms=10001", "commit.interval.ms=10001 is out of range"},
        {"commit.interval.ms=-1", "commit.interval.ms=-1 is out of range"},
        {"commit.interval.ms=", "is not a time"},
        {"commit.interval.ms=5x", "commit.interval.ms=5x is not a time"},
        {"commit.interval.ms=1.5s", "is not a time"},
        {"commit.interval.ms=99999999999999999999", "is not a time"},
        {"state.flush.interval.ms=9223372036854775807d", "is not a time"},
        {"workers=257", "workers=257 is out of range: 1 to 256, or 0"},
        {"workers=2s", "workers=2s is not a whole number"},
        {"workers=", "is not a whole number"},
        {"workers= 2", "is not a whole number"},
        {"state.memory.bytes=1023k", "out of range"},
        {"state.memory.bytes=k", "is not a number of bytes"},
        {"state.memory.bytes=1T", "is not a number of bytes"},
        {"state.memory.bytes=9223372036854775807G", "is not a number of bytes"},
        {"input.id.max.bytes=0", "out of range: 1 to 32768 bytes"},
        {"input.id.max.bytes=32769", "out of range"},
        {"state.behaviors.max=100001", "out of range: 1 to 100000"},
        {"output.format=avro", "output.format=avro is not one of protobuf|json"},
        {"output.format=proto", "is not one of"},
        {"output.format=", "is not one of"},
        {"input.format=csv", "is not one of json"},
        {"log.level=loud", "is not one of error|warn|info|debug"},
        {"group.static=yes", "is not one of true|false"},
        {"input.topic=a b", "only letters, digits"},
        {"input.topic=..", "are not names"},
        {"input.types=a,,b", "has an empty element"},
        {"input.user.field=,a", "has an empty element"},
        {"state.dir=/tmp/a\nb", "control character (0x0a) at byte 6"},
        {"state.changelog=true",
         "state.changelog=true is not supported by this version; it can only be 'false'"},
        {"changelog.interval.ms=30000", "not supported by this version"},
        {"standby.partitions=all", "not supported by this version"},
        {"state.cleanup.ms=600000", "not supported by this version"},
        {"model.refresh=sweep", "not supported by this version"},
        {"state.changelog=true", "not supported by this version"},
        {"routing.decay=1.1", "routing.decay: '1.1' is not a decay"},
        {"routing.half.life=0", "routing.half.life: '0' is not a half-life"},
        {"kafka.bootstrap.servers=x", "kafka.bootstrap.servers cannot be set"},
        {"consumer.auto.offset.reset=latest", "input.start says where a new group begins"},
        {"consumer.enable.auto.commit=true", "cannot be set"},
        {"kafka.enable.auto.offset.store=true", "cannot be set"},
        {"consumer.isolation.level=read_uncommitted", "cannot be set"},
        {"kafka.group.id=g", "it is application.id"},
        {"kafka.group.instance.id=g", "cannot be set"},
        {"producer.transactional.id=t", "cannot be set"},
        {"producer.enable.idempotence=false", "processing.guarantee decides"},
        {"consumer.enable.partition.eof=false", "cannot be set"},
        {"consumer.partition.assignment.strategy=cooperative-sticky", "only range and roundrobin"},
        {"consumer.partition.assignment.strategy=range,cooperative-sticky", "only range and roundrobin"},
        {"consumer.group.protocol=consumer", "only classic"},
        {"kafka.=x", "lacks the librdkafka key"},
        {"nonsense", "KEY=VALUE is needed"},
        {"=x", "KEY=VALUE is needed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ms_options *options = NULL;
        struct ms_error error = {0};
        const char *const sets[] = {cases[i].set, NULL};
        enum ms_status status = load(&options, NULL, NULL, sets, &error);
        if (status == MS_OK || !strstr(error.text, cases[i].text))
            fail_msg("%s: got '%s', expected '%s'", cases[i].set, error.text, cases[i].text);
        assert_int_equal(ms_status_exit_code(status), 2);
        assert_null(options);
    }
}

/* Sets |option| to |number| and returns its field; fails the test unless it is taken (|legal|) or refused as out of
 * range. */
static int64_t set_number(const struct ms_option *option, int64_t number, bool legal)
{
    char value[32];
    struct ms_config config = {0};
    struct ms_error error = {0};
    snprintf(value, sizeof value, "%" PRId64, number);
    enum ms_status status = ms_option_set(option, value, "--set", &config, &error);
    if (status != (legal ? MS_OK : MS_CONFIG))
        fail_msg("%s=%s: %s", option->key, value, legal ? error.text : "was taken");
    if (!legal)
        assert_non_null(strstr(error.text, "is out of range"));
    int64_t field;
    memcpy(&field, (char *)&config + option->offset, sizeof field);
    return field;
}

/* Both ends of every range are legal, and one beyond is not. */
static void test_ends(void **state)
{
    (void)state;
    int ranged = 0;
    for (size_t i = 0; i < ms_option_count; i++) {
        const struct ms_option *option = &ms_option_table[i];
        bool number = option->type == MS_OPTION_INT || option->type == MS_OPTION_BYTES ||
                      option->type == MS_OPTION_DURATION;
        if (!number || option->only)
            continue;
        ranged++;
        assert_int_equal(set_number(option, option->min, true), option->min);
        assert_int_equal(set_number(option, option->max, true), option->max);
        set_number(option, option->min - 1, option->automatic && option->min == 1);
        if (option->max < INT64_MAX)
            set_number(option, option->max + 1, false);
        if (option->automatic)
            assert_int_equal(set_number(option, 0, true), 0);
    }
    assert_true(ranged >= 6);
}

/* A name of 249 bytes is the longest that Kafka takes. */
static void test_name_ends(void **state)
{
    (void)state;
    char set[320] = "input.topic=";
    size_t key = strlen(set);
    memset(set + key, 'a', 249);
    struct ms_options *options = load_set(set);
    assert_int_equal(strlen(ms_options_config(options)->input_topic), 249);
    ms_options_destroy(options);
    options = NULL;
    set[key + 249] = 'a';
    const char *const sets[] = {set, NULL};
    struct ms_error error = {0};
    assert_int_equal(load(&options, NULL, NULL, sets, &error), MS_CONFIG);
    assert_non_null(strstr(error.text, "longer than 249 bytes"));
}

/* As many --set as the table of arguments takes are applied, the last one too. */
static void test_many_sets(void **state)
{
    (void)state;
    static struct ms_options_sources sources;
    struct ms_options *options = NULL;
    struct ms_error error = {0};
    for (sources.set_count = 0; sources.set_count < MS_OPTIONS_MAX_SET; sources.set_count++)
        sources.set[sources.set_count] = sources.set_count + 1 < MS_OPTIONS_MAX_SET ? "workers=1"
                                                                                    : "workers=2";
    assert_int_equal(ms_options_load(&options, &sources, &error), MS_OK);
    assert_int_equal(ms_options_config(options)->workers, 2);
    ms_options_destroy(options);
}

/* 512 keys pass through, and a key may have 255 bytes; one more is refused. */
static void test_passthrough_ends(void **state)
{
    (void)state;
    char *text = calloc(1, 1 << 16);
    struct ms_options *options = NULL;
    struct ms_error error = {0};
    assert_non_null(text);
    size_t used = 0;
    for (int i = 0; i < 512; i++)
        used += (size_t)sprintf(text + used, "kafka.key%d=1\n", i);
    assert_int_equal(load(&options, text, NULL, NULL, &error), MS_OK);
    assert_int_equal(ms_options_config(options)->passthrough_count, 512);
    ms_options_destroy(options);
    options = NULL;
    sprintf(text + used, "kafka.key0=2\n"); /* the same key again takes no room */
    assert_int_equal(load(&options, text, NULL, NULL, &error), MS_OK);
    assert_string_equal(ms_options_config(options)->passthrough[0].value, "2");
    ms_options_destroy(options);
    options = NULL;
    sprintf(text + used, "kafka.key512=1\n");
    assert_int_equal(load(&options, text, NULL, NULL, &error), MS_CONFIG);
    assert_non_null(strstr(error.text, "more than 512 keys for librdkafka"));
    assert_null(options);
    free(text);
}

static void test_key_ends(void **state)
{
    (void)state;
    char set[320] = "kafka.", name[320] = "MINDSTREAM_KAFKA_";
    struct ms_options *options = NULL;
    struct ms_error error = {0};
    const char *const sets[] = {set, NULL}, *const environment[] = {name, NULL};
    memset(set + 6, 'a', 249);
    strcpy(set + 255, "=1");
    memset(name + 17, 'A', 249);
    strcpy(name + 17 + 249, "=1");
    assert_int_equal(load(&options, NULL, environment, sets, &error), MS_OK);
    assert_int_equal(ms_options_config(options)->passthrough_count, 1); /* both are one key */
    ms_options_destroy(options);
    options = NULL;
    strcpy(set + 255, "a=1");
    assert_int_equal(load(&options, NULL, NULL, sets, &error), MS_USAGE);
    assert_non_null(strstr(error.text, "the key is longer than 255 bytes"));
    strcpy(name + 17 + 249, "A=1");
    assert_int_equal(load(&options, NULL, environment, NULL, &error), MS_CONFIG);
    assert_non_null(strstr(error.text, "is too long"));
    assert_null(options);
}

static void test_accepted(void **state)
{
    (void)state;
    static const char *const sets[] = {"state.changelog=false",
                                       "standby.partitions=none",
                                       "model.refresh=lazy",
                                       "http.listen=",
                                       "consumer.partition.assignment.strategy=roundrobin,range",
                                       "kafka.unheard.of=1",
                                       "routing.decay=0.7,0.95",
                                       "input.user.field=user_id,properties.distinct_id",
                                       "application.id=a.b_c-9"};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        ms_options_destroy(load_set(sets[i]));
}

static void test_places(void **state)
{
    (void)state;
    struct ms_options *options = NULL;
    struct ms_error error = {0};
    const char *const environment[] = {"MINDSTREAM_COMIT_INTERVAL_MS=5", NULL};
    assert_int_equal(load(&options, "\n# one\nworkers=1\nworkers=none\n", NULL, NULL, &error), MS_CONFIG);
    assert_non_null(strstr(error.text, ":4: workers=none is not a whole number"));
    assert_int_equal(load(&options, NULL, environment, NULL, &error), MS_CONFIG);
    assert_non_null(
        strstr(error.text, "environment MINDSTREAM_COMIT_INTERVAL_MS: unknown key comit.interval.ms; did"));
    struct ms_options_sources sources = {.file = "/nonexistent/x.properties"};
    assert_int_equal(ms_options_load(&options, &sources, &error), MS_CONFIG);
    assert_non_null(strstr(error.text, "/nonexistent/x.properties"));
    assert_null(options);
}

/* A file keeps trailing blanks. They are part of a password and of a path, and of nothing else. */
static void test_trailing_blanks(void **state)
{
    (void)state;
    struct ms_options *options = NULL;
    struct ms_error error = {0};
    const char *file =
        "workers=2 \ninput.topic=clicks\t \nlog.level=warn \nstate.dir=/s \nkafka.sasl.password=hush \n";
    if (load(&options, file, NULL, NULL, &error) != MS_OK)
        fail_msg("%s", error.text);
    const struct ms_config *config = ms_options_config(options);
    assert_int_equal(config->workers, 2);
    assert_string_equal(config->input_topic, "clicks");
    assert_string_equal(config->log_level, "warn");
    assert_string_equal(config->state_dir, "/s ");
    assert_string_equal(config->passthrough[0].value, "hush ");
    ms_options_destroy(options);
}

static void test_together(void **state)
{
    (void)state;
    struct ms_options *options = NULL;
    struct ms_error error = {0};
    const char *const both[] = {"routing.decay=0.9", "routing.half.life=7d", NULL};
    assert_int_equal(load(&options, NULL, NULL, both, &error), MS_CONFIG);
    assert_non_null(strstr(error.text, "exclude each other"));
    const char *const loop[] = {"input.topic=t", "output.topic=t", NULL};
    assert_int_equal(load(&options, NULL, NULL, loop, &error), MS_CONFIG);
    assert_non_null(strstr(error.text, "input.topic and output.topic are both 't'"));
    const char *const rate[] = {"user.max.publish.rate=5", "publish.mode=every", NULL};
    assert_int_equal(load(&options, NULL, NULL, rate, &error), MS_CONFIG);
    assert_non_null(
        strstr(error.text, "--set: user.max.publish.rate=5 does not go together with publish.mode=every"));
    assert_null(options);
    options = load_set("routing.half.life=7d,12h");
    assert_string_equal(ms_options_config(options)->routing_decay, "");
    assert_string_equal(ms_options_config(options)->routing_half_life, "7d,12h");
    ms_options_destroy(options);
}

/* Nothing that may be a secret stands in a message, whichever way it came: the value, a line of a PEM that lost its backslash, a
 * word without its '='. */
static void test_messages_hide(void **state)
{
    (void)state;
    static const char *const files[] = {"kafka.ssl.key.pem=-----BEGIN PRIVATE KEY-----\nMARKER+/abc\n",
                                        "kafka.ssl.key.pem=\\\n-----BEGIN-----\n\nMARKERabc==\n",
                                        "kafak.sasl.password=MARKER\n",
                                        "KAFKA.SASL.PASSWORD=MARKER\n",
                                        "MARKER\n",
                                        "marker.MARKER\n",
                                        "kafka.sasl.password\\=MARKER\n",
                                        "kafka.sasl.password.file=/MARKER\n",
                                        "kafka.group.id=MARKER\n",
                                        "kafka.partition.assignment.strategy=MARKER\n",
                                        "kafka.sasl.password=MARKER\\u12\n",
                                        "statedir MARKER\n"};
    static const char *const sets[] = {"kafka.sasl.password",
                                       "MARKER",
                                       "=MARKER",
                                       "MARKER/+=x",
                                       "kafka.group.id=MARKER",
                                       "kafka.sasl.password.file=/MARKER",
                                       "kafka.sasl.password MARKER=x",
                                       "saslpassword=MARKER"};
    const size_t file_count = sizeof files / sizeof files[0], set_count = sizeof sets / sizeof sets[0];
    for (size_t i = 0; i < file_count + set_count; i++) {
        struct ms_options *options = NULL;
        struct ms_error error = {0};
        const char *const set[] = {i < file_count ? NULL : sets[i - file_count], NULL};
        enum ms_status status = load(&options, i < file_count ? files[i] : NULL, NULL, set, &error);
        if (status == MS_OK || strstr(error.text, "MARKER"))
            fail_msg("case %zu: '%s'", i, error.text);
        assert_int_not_equal(status, MS_MEMORY);
    }
}

/* Only keys that are known show their values; the name of a file gives the key's value, without its line end. */
static void test_secrets(void **state)
{
    (void)state;
    char path[] = "/tmp/ms-secret-XXXXXX", file[160];
    struct ms_options *options = NULL;
    struct ms_option_text text;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, " hush \r\n", 8), 8);
    close(fd);
    snprintf(file, sizeof file,
             "kafka.linger.ms=5\nkafka.SASL.username=a\nconsumer.ssl.keystore.password.file=%s\n"
             "kafka.sasl.oauthbearer.assertion.private.key.file=/f\n",
             path);
    enum ms_status status = load(&options, file, NULL, NULL, NULL);
    unlink(path);
    assert_int_equal(status, MS_OK);
    assert_true(ms_options_passthrough_text(options, 0, &text));
    assert_string_equal(text.value, "5");
    assert_true(ms_options_passthrough_text(options, 1, &text));
    assert_string_equal(text.value, "****");
    assert_true(ms_options_passthrough_text(options, 2, &text));
    assert_string_equal(text.key, "consumer.ssl.keystore.password");
    assert_string_equal(text.value, "****");
    assert_non_null(strstr(text.where, ":3 (consumer.ssl.keystore.password.file)"));
    const struct ms_passthrough *pass = &ms_options_config(options)->passthrough[3]; /* behind kafka.* */
    assert_string_equal(pass->value, " hush ");
    assert_string_equal(pass->name, "consumer.ssl.keystore.password");
    assert_string_equal(pass->where, text.where);
    assert_true(ms_options_passthrough_text(options, 3, &text)); /* a key of librdkafka's own */
    assert_string_equal(text.key, "kafka.sasl.oauthbearer.assertion.private.key.file");
    ms_options_destroy(options);
}

static void test_require(void **state)
{
    (void)state;
    static const char *const needed[] = {"application.id=a", "bootstrap.servers=b:1", "input.topic=i",
                                         "output.topic=o",   "state.dir=/s",          "model.dir=/m"};
    for (size_t left_out = 0; left_out <= 6; left_out++) {
        const char *sets[7] = {NULL};
        size_t count = 0;
        for (size_t i = 0; i < 6; i++) {
            if (i != left_out)
                sets[count++] = needed[i];
        }
        struct ms_options *options = NULL;
        struct ms_error error = {0};
        assert_int_equal(load(&options, NULL, NULL, sets, &error), MS_OK);
        enum ms_status status = ms_options_require(options, "run", &error);
        if (left_out == 6) {
            assert_int_equal(status, MS_OK);
        } else {
            assert_int_equal(status, MS_CONFIG);
            assert_memory_equal(error.text, needed[left_out], strcspn(needed[left_out], "="));
        }
        assert_int_equal(ms_options_require(options, "generate", &error), MS_OK);
        ms_options_destroy(options);
    }
}

static void append(void *context, const char *key, const char *value, const char *where)
{
    char *text = context;
    size_t used = strlen(text);
    snprintf(text + used, 512 - used, "%s=%s (%s)\n", key, value, where);
}

static void test_differences(void **state)
{
    (void)state;
    struct ms_options *options = NULL;
    const char *const set[] = {"consumer.ssl.key.password=hush",
                               "workers=2",
                               "publish.mode=latest",
                               "input.topic=clicks",
                               "producer.linger.ms=5",
                               "kafka.sasl.oauthbearer.client.secret=s",
                               NULL};
    char text[512] = "";
    assert_int_equal(load(&options, NULL, NULL, set, NULL), MS_OK);
    ms_options_differences(options, append, text);
    assert_string_equal(
        text, "input.topic=clicks (--set)\nworkers=2 (--set)\nconsumer.ssl.key.password=**** (--set)\n"
              "producer.linger.ms=**** (--set)\nkafka.sasl.oauthbearer.client.secret=**** (--set)\n");
    ms_options_destroy(options);
}

/* Directories of the command line beat every other source, and messages name the option that they came with. */
static void test_directories(void **state)
{
    (void)state;
    static struct ms_options_sources sources = {
        .set = {"state.dir=/s", "model.dir=/m"}, .set_count = 2, .state_dir = "/a", .model_dir = "/b"};
    struct ms_options *options = NULL;
    struct ms_error error = {0};
    assert_int_equal(ms_options_load(&options, &sources, &error), MS_OK);
    assert_string_equal(ms_options_config(options)->state_dir, "/a");
    assert_string_equal(ms_options_config(options)->model_dir, "/b");
    assert_string_equal(ms_options_text(options, ms_option_find("state.dir")).where, "--state-dir");
    ms_options_destroy(options);
    options = NULL;
    sources.model_dir = "/b\n";
    assert_int_equal(ms_options_load(&options, &sources, &error), MS_CONFIG);
    assert_non_null(strstr(error.text, "--model: model.dir has a control character"));
}

/* Another value that the option takes; NULL where it takes one only. */
static const char *another_value(const struct ms_option *option)
{
    static char text[64];
    const char *value;
    size_t size;
    switch ((int)option->type) {
    case MS_OPTION_ENUM:
    case MS_OPTION_BOOL:
        for (int i = 0; ms_option_value_at(option, i, &value, &size); i++) {
            if (strlen(option->standard) != size || memcmp(option->standard, value, size) != 0) {
                snprintf(text, sizeof text, "%.*s", (int)size, value);
                return text;
            }
        }
        return NULL;
    case MS_OPTION_INT:
    case MS_OPTION_BYTES:
    case MS_OPTION_DURATION:
        snprintf(text, sizeof text, "%" PRId64, option->max);
        return text;
    default:
        return "other";
    }
}

/* Whatever says how a record is read belongs to the decode id: a setting that is added here is not forgotten. */
static void test_decode_id_has_all(void **state)
{
    static const char *const others[] = {"input.topic", "input.start"};
    uint64_t before = 0;
    int looked = 0;
    (void)state;
    for (size_t i = 0; i < ms_option_count; i++) {
        char set[128];
        const struct ms_option *option = &ms_option_table[i];
        const char *value = another_value(option);
        bool other = strncmp(option->key, "input.", 6) != 0 || option->only || !value;
        for (size_t k = 0; k < sizeof others / sizeof *others; k++)
            other = other || strcmp(option->key, others[k]) == 0;
        if (other)
            continue;
        struct ms_options *standard = load_set("workers=1");
        snprintf(set, sizeof set, "%s=%s", option->key, value);
        struct ms_options *changed = load_set(set);
        before = ms_sources_decode_id(ms_options_config(standard));
        if (before == ms_sources_decode_id(ms_options_config(changed)))
            fail_msg("%s does not change the decode id", option->key);
        ms_options_destroy(standard);
        ms_options_destroy(changed);
        looked++;
    }
    assert_true(looked >= 6 && before != 0);
}

/* A reload takes over what the table marks, and nothing else. The values compared are the fields' bytes: of the texts that both
 * have, both point at the table's. log.level is the process's. */
static void test_reload_follows_the_table(void **state)
{
    int taken = 0;
    (void)state;
    for (size_t i = 0; i < ms_option_count; i++) {
        char set[128];
        const struct ms_option *option = &ms_option_table[i];
        const char *value = another_value(option);
        if (option->only || !value || strcmp(option->key, "log.level") == 0)
            continue;
        snprintf(set, sizeof set, "%s=%s", option->key,
                 strcmp(option->key, "routing.half.life") == 0                      ? "7d"
                 : strcmp(option->key, "routing.decay") == 0                        ? "0.5"
                 : strcmp(option->key, "kafka.sasl.oauthbearer.token.command") == 0 ? "/bin/true"
                                                                                    : value);
        struct ms_options *changed = load_set(set), *standard = load_set("log.level=info");
        struct ms_config config = *ms_options_config(standard);
        ms_config_reload(&config, ms_options_config(changed));
        bool took = memcmp(&config, ms_options_config(standard), sizeof config) != 0;
        if (took != option->reloadable)
            fail_msg("%s is %sreloadable, and ms_config_reload takes it over or not", option->key,
                     option->reloadable ? "" : "not ");
        taken += took;
        ms_options_destroy(changed);
        ms_options_destroy(standard);
    }
    assert_true(taken >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_name_ends),
        cmocka_unit_test(test_many_sets),
        cmocka_unit_test(test_passthrough_ends),
        cmocka_unit_test(test_key_ends),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_together),
        cmocka_unit_test(test_trailing_blanks),
        cmocka_unit_test(test_require),
        cmocka_unit_test(test_messages_hide),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_directories),
        cmocka_unit_test(test_decode_id_has_all),
        cmocka_unit_test(test_reload_follows_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
