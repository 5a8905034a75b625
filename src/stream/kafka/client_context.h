/* What the callbacks of a Kafka client work with: its owner, how it logs in, and why it could not connect.
 *
 * librdkafka gives its callbacks one pointer, the opaque; of the clients made by clients.h it is a struct ms_client_context. It goes away
 * with the client, by ms_client_destroy. */
#ifndef MS_KAFKA_CLIENT_CONTEXT_H
#define MS_KAFKA_CLIENT_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include <librdkafka/rdkafka.h>

#include "base/config.h"
#include "mindstream/status.h"

struct ms_client_context;

/* Makes it the opaque of |conf|, and has it fetch tokens where |config| has a command. It belongs to the client that is made of |conf|; where
 * none is made, the caller frees it. */
enum ms_status ms_client_context_set(struct ms_client_context **context, rd_kafka_conf_t *conf, void *owner,
                                     const struct ms_config *config, struct ms_error *error) MS_MUST_CHECK;
void ms_client_context_free(struct ms_client_context *context);

/* Ends a client that clients.h has made. It closes nothing before. */
void ms_client_destroy(rd_kafka_t *rk);

/* The owner, of the opaque that a callback gets or of a client. */
void *ms_client_owner(void *opaque);

/* Notes what a client's log says of a connection that failed. Values of settings are taken out. Any thread. */
void ms_client_said(const rd_kafka_t *rk, const char *facility, const char *text);

/* Why the client could not connect, of what it said within the last seconds; else the text of |code|. */
void ms_client_reason(const rd_kafka_t *rk, rd_kafka_resp_err_t code, char *text, size_t size);

#endif
