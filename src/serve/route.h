/* The routes, one row each: what a request may ask for, who answers, and what /openapi.json tells of it. */
#ifndef MS_SERVE_ROUTE_H
#define MS_SERVE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "serve/reply.h"
#include "serve/target.h"

struct ms_desk;

#define MS_ROUTE_QUERIES 4

/* A whole number in the query. */
struct ms_query_number {
    const char *name; /* NULL behind the last */
    int64_t min, max, standard;
    const char *help;
};

/* A request as its handler gets it: good for its route. */
struct ms_request {
    struct ms_bytes id;                /* of a user, where the path has {id}: UTF-8, not empty */
    int64_t numbers[MS_ROUTE_QUERIES]; /* of the query, in the order of the row, given or standard */
    const char *accept;                /* the header, "" without */
    struct ms_bytes target;            /* path and query as they came */
    bool local;                        /* over the socket in the state directory */
};

struct ms_route {
    const char *name; /* of metrics, and the operationId */
    const char *path; /* parts in {} match any one part */
    const char *summary;
    struct ms_query_number queries[MS_ROUTE_QUERIES + 1];
    const char *types;    /* of the answer, blank-separated; "; " is no part of one */
    const char *schema;   /* of a JSON answer: a name among the schemas of openapi.c, NULL: any text */
    const char *statuses; /* beside 200, and those that any route may answer */
    bool open;            /* needs no token */
    void (*answer)(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
};

extern const struct ms_route ms_routes[];
extern const int ms_route_count;

/* The route of a path, -1: none has it. */
int ms_route_find(const struct ms_target *target);

/* Fills request->id and numbers from the target of |route|. False where they do not fit; *reply says why then. Pure. */
bool ms_route_read(const struct ms_route *route, const struct ms_target *target, struct ms_request *request,
                   struct ms_reply *reply);

#endif
