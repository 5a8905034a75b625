/* Paying the debt of a partition (debt.h), a step at a time: finds the owed users among the stored rows, in the
 * order of ids, loads them and publishes them. All of them are stored, and none changes while the debt is paid.
 * A step publishes about as much as one transaction should carry. One thread. */
#ifndef MS_STREAM_PAY_H
#define MS_STREAM_PAY_H

#include "state/overlay.h"
#include "stream/positions.h"
#include "stream/publish.h"

/* Bounds of a step. It ends behind the user that passes one of them. */
#define MS_PAY_RECORDS 4096
#define MS_PAY_BYTES   (4u << 20)
#define MS_PAY_ROWS    65536 /* looked at */
#define MS_PAY_USERS   256   /* loaded together */

struct ms_payer;

/* What it is given outlives it. |records| of a step, 0: MS_PAY_RECORDS. */
enum ms_status ms_payer_new(struct ms_payer **payer, struct ms_store *store, struct ms_overlay *overlay,
                            struct ms_publisher *publisher, size_t records,
                            struct ms_error *error) MS_MUST_CHECK;
void ms_payer_destroy(struct ms_payer *payer);

/* Publishes the next owed users and moves the debt's |paid|. *done tells that all are paid. A step that finds
 * nobody among many rows publishes nothing. After a failure the payer is to be destroyed. */
enum ms_status ms_payer_step(struct ms_payer *payer, struct ms_partition *partition, bool *done,
                             struct ms_error *error) MS_MUST_CHECK;

/* The partition goes: where it comes back, its debt goes on from what is committed then. */
void ms_payer_leave(struct ms_payer *payer, int32_t partition);

#endif
