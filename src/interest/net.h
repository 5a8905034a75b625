/* Attention by a small net: tanh(. w1 + b1) w2 + b2. What comirec-sa and sine share. */
#ifndef MS_INTEREST_NET_H
#define MS_INTEREST_NET_H

#include "interest/kind.h"

struct ms_net {
    /* [item_dim][hidden], [hidden], [hidden][out], [out]; biases may be NULL */
    const float *w1, *b1, *w2, *b2;
    size_t out;
};

/* What the nets of one extractor share: sizes, and scratch in double. */
struct ms_net_scratch {
    size_t hidden; /* width of the hidden layer */
    size_t hidden_stride;
    size_t logit_stride;
    const float *position; /* [L][item_dim], or NULL */
    double *inputs;        /* [L][item_dim] */
    double *hidden_rows;   /* [L][hidden_stride] */
    double *logits;        /* [L][logit_stride] out */
};

/* The widths, for nets with |hidden| hidden units and at most |out| logits a row. */
void ms_net_bind(struct ms_net_scratch *s, size_t hidden, size_t out);
void ms_net_carve(struct ms_net_scratch *s, const struct ms_extractor *x, struct ms_carver *carver);
/* logits [n][logit_stride] = the net's logits of inputs [n][item_dim]. */
void ms_net_logits(struct ms_extractor *x, struct ms_net_scratch *s, const struct ms_net *net, size_t n);

#endif
