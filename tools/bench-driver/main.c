/* Command line of the benchmark's driver, and what its jobs share. */
#include "driver.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct job {
    const char *name;
    int (*run)(const struct driver_options *options);
} jobs[] = {{"create", driver_create}, {"delete", driver_delete}, {"load", driver_load},
            {"copy", driver_copy},     {"watch", driver_watch},   {"size", driver_size},
            {"read", driver_read}};

static const char usage_text[] =
    "usage: mindstream_bench create|delete|load|copy|read|watch|size --bootstrap HOST:PORT --topic T\n"
    "           [--output T] [--group G] [--partitions N] [--workers N] [--commit-interval-ms N]\n"
    "           [--record-bytes N] [--pid P] [--timeout SECONDS] [--set consumer.K=V|producer.K=V ...]\n"
    "The client that tools/bench runs; see tools/bench --help.\n";

_Noreturn void driver_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("mindstream_bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

double driver_now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char reason[512];
    if (rd_kafka_conf_set(conf, key, value, reason, sizeof reason) != RD_KAFKA_CONF_OK) {
        driver_die("%s", reason);
    }
}

rd_kafka_t *driver_client(const struct driver_options *options, rd_kafka_type_t type, const char *prefix,
                          const char *const *pairs)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", options->bootstrap);
    for (; pairs && *pairs; pairs += 2) {
        set(conf, pairs[0], pairs[1]);
    }
    for (int i = 0; i < options->setting_count; i++) {
        const char *setting = options->settings[i];
        const char *equals = strchr(setting, '=');
        if (!strncmp(setting, prefix, strlen(prefix))) {
            char key[256];
            snprintf(key, sizeof key, "%.*s", (int)(equals - setting - (long)strlen(prefix)),
                     setting + strlen(prefix));
            set(conf, key, equals + 1);
        }
    }
    char reason[512];
    rd_kafka_t *client = rd_kafka_new(type, conf, reason, sizeof reason);
    if (!client) {
        driver_die("%s", reason);
    }
    return client;
}

int driver_partitions(rd_kafka_t *client, const char *topic)
{
    double deadline_s = driver_now_s() + 30;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    int count = 0;
    while (count == 0 && driver_now_s() < deadline_s) {
        const rd_kafka_metadata_t *metadata = NULL;
        if (rd_kafka_metadata(client, 0, handle, &metadata, 5000) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            if (metadata->topic_cnt == 1 && metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                count = metadata->topics[0].partition_cnt;
            }
            rd_kafka_metadata_destroy(metadata);
        }
    }
    rd_kafka_topic_destroy(handle);
    if (count <= 0 || count > DRIVER_MAX_PARTITIONS) {
        driver_die("topic %s: %d partitions (1 to %d are possible)", topic, count, DRIVER_MAX_PARTITIONS);
    }
    return count;
}

static int number(const char *name, const char *text, int least)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < least || value > 1000000000) {
        driver_die("--%s: %s is not a number from %d", name, text, least);
    }
    return (int)value;
}

int main(int argc, char **argv)
{
    struct driver_options options = {
        .partitions = 4, .workers = 2, .commit_interval_ms = 100, .record_bytes = 1100, .timeout_s = 600};
    static const struct option table[] = {{"bootstrap", 1, NULL, 'b'},
                                          {"topic", 1, NULL, 't'},
                                          {"output", 1, NULL, 'o'},
                                          {"group", 1, NULL, 'g'},
                                          {"partitions", 1, NULL, 'p'},
                                          {"workers", 1, NULL, 'w'},
                                          {"commit-interval-ms", 1, NULL, 'c'},
                                          {"record-bytes", 1, NULL, 'r'},
                                          {"pid", 1, NULL, 'P'},
                                          {"timeout", 1, NULL, 'T'},
                                          {"set", 1, NULL, 's'},
                                          {NULL, 0, NULL, 0}};
    int index = 0;
    for (int c; (c = getopt_long(argc, argv, "", table, &index)) != -1;) {
        switch (c) {
        case 'b':
            options.bootstrap = optarg;
            break;
        case 't':
            options.topic = optarg;
            break;
        case 'o':
            options.output = optarg;
            break;
        case 'g':
            options.group = optarg;
            break;
        case 'p':
            options.partitions = number("partitions", optarg, 1);
            break;
        case 'w':
            options.workers = number("workers", optarg, 1);
            break;
        case 'c':
            options.commit_interval_ms = number("commit-interval-ms", optarg, 1);
            break;
        case 'r':
            options.record_bytes = number("record-bytes", optarg, 1);
            break;
        case 'P':
            options.pid = number("pid", optarg, 1);
            break;
        case 'T':
            options.timeout_s = number("timeout", optarg, 1);
            break;
        case 's':
            if (!strchr(optarg, '=') || options.setting_count == DRIVER_MAX_SETTINGS) {
                driver_die("--set %s: not KEY=VALUE, or more than %d of them", optarg, DRIVER_MAX_SETTINGS);
            }
            options.settings[options.setting_count++] = optarg;
            break;
        default:
            fputs(usage_text, stderr);
            return 2;
        }
    }
    for (size_t i = 0; optind + 1 == argc && i < sizeof jobs / sizeof *jobs; i++) {
        if (!strcmp(argv[optind], jobs[i].name) && options.bootstrap && options.topic) {
            return jobs[i].run(&options);
        }
    }
    fputs(usage_text, stderr);
    return 2;
}
