/* The settings of the service as plain values. app/options.c holds the table that fills, checks and prints
 * them; everybody else reads. Field names are the keys with _ for the dots. Strings are never NULL; "" is
 * "not given". */
#ifndef MS_BASE_CONFIG_H
#define MS_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ms_input_start { MS_START_EARLIEST, MS_START_LATEST };
enum ms_output_layout { MS_LAYOUT_USER, MS_LAYOUT_INTEREST };
enum ms_publish_mode { MS_PUBLISH_LATEST, MS_PUBLISH_EVERY };
enum ms_dead_letter_headers { MS_HEADERS_BOTH, MS_HEADERS_MINDSTREAM, MS_HEADERS_STREAMS };
enum ms_guarantee { MS_EXACTLY_ONCE, MS_AT_LEAST_ONCE };
enum ms_routing_mode { MS_ROUTING_AUTO, MS_ROUTING_INCREMENTAL, MS_ROUTING_FULL };
enum ms_profile_choice { MS_PROFILE_AS_MODEL, MS_PROFILE_BEFORE, MS_PROFILE_AFTER };

/* A key of librdkafka that is passed through, prefix cut off. */
struct ms_passthrough {
    const char *key;
    const char *value;
    const char *name;        /* for messages: the key with its prefix; NULL: |key| will do */
    const char *where;       /* its source ("file:3"), or NULL */
    bool consumer, producer; /* kafka.* is both */
    bool secret;             /* not known to be harmless. No error and no log line shows any value */
};

struct ms_config {
    const char *application_id, *instance_id, *bootstrap_servers;
    const char *input_topic;
    int input_start; /* enum ms_input_start; enums are ints so that the table can point at them */
    const char *input_format;
    const char *input_user_field, *input_item_field, *input_time_field, *input_type_field, *input_types;
    int64_t input_id_max_bytes;
    int input_key_format; /* enum ms_key_format */
    const char *output_topic;
    int output_format; /* enum ms_record_format */
    int output_layout, publish_mode;
    int64_t user_max_publish_rate; /* a second, 0: any */
    const char *dead_letter_topic;
    int dead_letter_headers; /* enum ms_dead_letter_headers */
    int processing_guarantee;
    int64_t commit_interval_ms;
    int64_t workers;
    const char *state_dir;
    int64_t state_behaviors_max, state_memory_bytes, state_flush_interval_ms;
    bool group_static;
    const char *model_dir;
    int routing_mode;
    const char *routing_decay, *routing_half_life; /* parsed into an ms_decay by the caller */
    const char *profile_topic;
    int profile_order; /* enum ms_profile_choice */
    const char *log_level;
    const char *http_listen, *http_advertise, *http_token_file, *http_tls_certificate_file,
        *http_tls_key_file;
    int64_t http_rate_max, http_connections_max;
    const char *items_meta;
    bool fail_fast;  /* --fail-fast */
    bool accept_gap; /* --accept-gap: go on where the log begins when events before it are gone */
    bool
        accept_holes; /* --accept-holes: fold a lost state from a compacted log again, although events are gone */
    bool
        accept_repartition; /* --accept-repartition: go on although the topic has another number of partitions */
    struct ms_passthrough *passthrough;
    size_t passthrough_count;
    const char *token_command; /* kafka.sasl.oauthbearer.token.command */
    struct ms_login *login;    /* of that command (stream/login.h); NULL without one */
};

/* Takes over from |from| what may change while the service runs: all that the option table marks reloadable, but for
 * log.level, which is the process's. */
static inline void ms_config_reload(struct ms_config *config, const struct ms_config *from)
{
    config->commit_interval_ms = from->commit_interval_ms;
    config->state_flush_interval_ms = from->state_flush_interval_ms;
    config->state_memory_bytes = from->state_memory_bytes;
    config->user_max_publish_rate = from->user_max_publish_rate;
}

#endif
