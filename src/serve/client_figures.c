/* Sums and greatest values over brokers and partitions. */
#include "serve/client_figures.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static double greater(double a, double b)
{
    return a > b ? a : b;
}

static void add_broker(struct ms_client_figures *figures, const json_t *broker)
{
    const char *state = json_string_value(json_object_get(broker, "state"));
    const json_t *trip = json_object_get(broker, "rtt"), *throttle = json_object_get(broker, "throttle");
    figures->brokers_up += state && strcmp(state, "UP") == 0;
    figures->round_trip_s = greater(figures->round_trip_s, number(trip, "avg") / 1e6);
    figures->round_trip_p99_s = greater(figures->round_trip_p99_s, number(trip, "p99") / 1e6);
    figures->throttle_s = greater(figures->throttle_s, number(throttle, "max") / 1e3);
    figures->requests_waiting += number(broker, "outbuf_cnt") + number(broker, "waitresp_cnt");
}

static void add_topic(struct ms_client_figures *figures, const json_t *topic)
{
    const char *name;
    const json_t *partition;
    json_t *partitions = json_object_get(topic, "partitions");
    json_object_foreach (partitions, name, partition) {
        if (strcmp(name, "-1") == 0)
            continue;
        figures->queue_records += greater(number(partition, "fetchq_cnt"), 0);
        figures->queue_bytes += greater(number(partition, "fetchq_size"), 0);
    }
}

bool ms_client_figures_read(struct ms_client_figures *figures, const char *text)
{
    const char *name;
    const json_t *value;
    json_t *root = json_loads(text, 0, NULL);
    const char *state = json_string_value(json_object_get(json_object_get(root, "eos"), "txn_state"));
    if (!json_is_object(root)) {
        json_decref(root);
        return false;
    }
    *figures = (struct ms_client_figures){
        .queue_records = number(root, "msg_cnt"),
        .queue_bytes = number(root, "msg_size"),
        .sent_bytes = number(root, "tx_bytes"),
        .received_bytes = number(root, "rx_bytes"),
        .rebalances = number(json_object_get(root, "cgrp"), "rebalance_cnt")};
    snprintf(figures->transaction, sizeof figures->transaction, "%s",
             state && strcmp(state, "Init") != 0 ? state : "");
    json_object_foreach (json_object_get(root, "brokers"), name, value)
        add_broker(figures, value);
    json_object_foreach (json_object_get(root, "topics"), name, value)
        add_topic(figures, value);
    json_decref(root);
    return true;
}
