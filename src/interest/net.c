/* Attention by a small net. */
#include "interest/net.h"

void ms_net_bind(struct ms_net_scratch *s, size_t hidden, size_t out)
{
    s->hidden = hidden;
    s->hidden_stride = ms_round_up(hidden, MS_LANES);
    s->logit_stride = ms_round_up(out, MS_LANES);
}

void ms_net_carve(struct ms_net_scratch *s, const struct ms_extractor *x, struct ms_carver *carver)
{
    s->inputs = ms_carve(carver, x->L, x->item_dim, sizeof(double));
    s->hidden_rows = ms_carve(carver, x->L, s->hidden_stride, sizeof(double));
    s->logits = ms_carve(carver, x->L, s->logit_stride, sizeof(double));
}

void ms_net_logits(struct ms_extractor *x, struct ms_net_scratch *s, const struct ms_net *net, size_t n)
{
    x->kernels->project_f64(s->inputs, n, x->item_dim, x->item_dim, net->w1, s->hidden, net->b1,
                            s->hidden_rows, s->hidden_stride);
    x->kernels->tanh_f64(s->hidden_rows, n * s->hidden_stride);
    x->kernels->project_f64(s->hidden_rows, n, s->hidden_stride, s->hidden, net->w2, net->out, net->b2,
                            s->logits, s->logit_stride);
}
