/* The words of docs/operate.md, "Access rules". */
#include "stream/kafka/access.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *passed(const struct ms_config *config, const char *key)
{
    const char *value = "";
    for (size_t i = 0; i < config->passthrough_count; i++) {
        if (strcmp(config->passthrough[i].key, key) == 0)
            value = config->passthrough[i].value;
    }
    return value;
}

/* Who it is that logs in. Values that pass through are not shown, so by the setting that names him. */
static const char *principal_of(const struct ms_config *config)
{
    const char *protocol = passed(config, "security.protocol");
    if (strncasecmp(protocol, "sasl", 4) == 0) {
        if (config->login)
            return "the principal of the token";
        return passed(config, "sasl.username")[0] ? "the user of kafka.sasl.username"
                                                  : "the principal that logs in";
    }
    if (strcasecmp(protocol, "ssl") == 0 && passed(config, "ssl.certificate.location")[0])
        return "the subject of kafka.ssl.certificate.location";
    return "User:ANONYMOUS";
}

bool ms_access_refused(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
}

void ms_access_text(char *text, size_t size, const struct ms_config *config, const char *operation,
                    const char *topic)
{
    snprintf(text, size, "an access rule is missing: %s on topic \"%s\" for %s", operation, topic,
             principal_of(config));
}

enum ms_status ms_access_missing(struct ms_error *error, enum ms_status status, rd_kafka_resp_err_t code,
                                 const struct ms_config *config, const char *operation, const char *topic)
{
    char rule[512];
    const char *id = config->application_id, *who = principal_of(config);
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        ms_access_text(rule, sizeof rule, config, operation, topic);
        break;
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        snprintf(rule, sizeof rule, "an access rule is missing: READ on group \"%s\" for %s", id, who);
        break;
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        snprintf(rule, sizeof rule,
                 "an access rule is missing: WRITE on transactional ids that begin with \"%s-\" for %s", id,
                 who);
        break;
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        snprintf(rule, sizeof rule, "an access rule is missing: %s on the cluster for %s", operation, who);
        break;
    default:
        return status;
    }
    return ms_fail_in(error, MS_KAFKA_REFUSED, "%s", rule);
}
