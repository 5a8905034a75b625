/* Progress of a consumer group and CPU of the process that makes it: both from the first committed progress
 * to the last event, so that starting, joining and loading a model count for nobody. */
#include "driver.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* User and system time of all threads of |pid| so far, in seconds; negative when it is gone. */
static double cpu_s(int pid)
{
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) {
        return -1;
    }
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = 0;
    const char *after_name = strrchr(text, ')');
    unsigned long long user, system;
    if (!after_name || sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                              &system) != 2) {
        return -1;
    }
    long ticks_per_s = sysconf(_SC_CLK_TCK);
    return (double)(user + system) / (double)ticks_per_s;
}

/* Most memory that |pid| ever had, in KiB; 0 when it is gone. */
static long peak_kib(int pid)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "VmHWM: %ld", &kib);
    }
    if (file) {
        fclose(file);
    }
    return kib;
}

/* Events of all partitions that the group has committed; 0 while it has committed nothing. */
static int64_t committed(rd_kafka_t *client, rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].offset = RD_KAFKA_OFFSET_INVALID;
    }
    if (rd_kafka_committed(client, list, 5000)) {
        return 0; /* the coordinator is not ready; asked again soon */
    }
    int64_t sum = 0;
    for (int i = 0; i < list->cnt; i++) {
        sum += list->elems[i].offset > 0 ? list->elems[i].offset : 0;
    }
    return sum;
}

static int64_t total_events(rd_kafka_t *client, const rd_kafka_topic_partition_list_t *list)
{
    int64_t total = 0;
    for (int i = 0; i < list->cnt; i++) {
        int64_t low, high;
        rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(
            client, list->elems[i].topic, list->elems[i].partition, &low, &high, 30000);
        if (err || low != 0) {
            driver_die("%s[%d]: %s", list->elems[i].topic, list->elems[i].partition,
                       err ? rd_kafka_err2str(err) : "does not begin at offset 0");
        }
        total += high;
    }
    return total;
}

int driver_watch(const struct driver_options *options)
{
    if (!options->group || !options->pid) {
        driver_die("watch needs --group and --pid");
    }
    /* read_uncommitted: the broker then tells the last committed offsets instead of waiting for a pending
     * commit. */
    const char *const pairs[] = {"group.id", options->group,    "enable.auto.commit",
                                 "false",    "isolation.level", "read_uncommitted",
                                 NULL};
    rd_kafka_t *client = driver_client(options, RD_KAFKA_CONSUMER, "kafka.", pairs);
    int partitions = driver_partitions(client, options->topic);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int p = 0; p < partitions; p++) {
        rd_kafka_topic_partition_list_add(list, options->topic, p);
    }
    int64_t total = total_events(client, list), first = 0, now = 0;
    double begin_s = 0, begin_cpu_s = 0, end_cpu_s = 0, deadline_s = driver_now_s() + options->timeout_s;
    while (now < total) {
        usleep(10000);
        now = committed(client, list);
        end_cpu_s = cpu_s(options->pid);
        if (end_cpu_s < 0 || driver_now_s() > deadline_s) {
            driver_die("process %d %s after %" PRId64 " of %" PRId64 " events", options->pid,
                       end_cpu_s < 0 ? "ended" : "was too slow: given up", now, total);
        }
        if (!first && now) {
            first = now;
            begin_s = driver_now_s();
            begin_cpu_s = end_cpu_s;
        }
    }
    double seconds = driver_now_s() - begin_s, cpu = end_cpu_s - begin_cpu_s;
    int64_t events = total - first;
    if (events <= 0) {
        driver_die("all %" PRId64 " events were committed at once: too few to measure", total);
    }
    printf("{\"events\": %" PRId64
           ", \"seconds\": %.3f, \"events_per_s\": %.0f, \"cpu_us\": %.3f, \"peak_mib\": %ld}\n",
           events, seconds, (double)events / seconds, cpu * 1e6 / (double)events,
           peak_kib(options->pid) / 1024);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    return 0;
}
