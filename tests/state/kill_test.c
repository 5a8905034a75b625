/* A process that flushes is killed at any moment, again and again; what the next one opens is always the fold
 * of the events below the applied offsets, of all partitions and of nothing else. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "user/codec.h"

#define PARTITIONS 3
#define SEED       5

extern char **environ;

struct service {
    struct ms_store *store;
    struct life_model model;
    struct ms_fold_context fold_context;
    struct ms_overlay *overlay;
};

static int64_t applied_of(struct ms_store *store, uint16_t partition)
{
    struct ms_partition_row row;
    struct ms_error error;
    bool found;
    if (ms_store_partition(store, partition, &row, &found, &error) != MS_OK)
        abort();
    return found ? row.sources[0].applied : 0;
}

static void service_open(struct service *s, const char *dir)
{
    struct ms_error error;
    s->store = state_open(dir);
    life_model_open(&s->model, 1, 4, 8);
    life_folder(&s->fold_context, &s->model, true, 100);
    for (uint16_t p = 0; p < PARTITIONS; p++)
        ms_store_acquire(s->store, p, 1);
    if (ms_overlay_new(&s->overlay, s->store, &s->fold_context, 100000, 1, &error) != MS_OK)
        abort();
}

static void service_close(struct service *s)
{
    ms_overlay_destroy(s->overlay);
    ms_fold_context_free(&s->fold_context);
    life_model_close(&s->model);
    ms_store_close(s->store);
}

/* The child: goes on from the applied offsets, and flushes until it is killed, folding on while files are on
 * their way. */
static int flush_for_ever(const char *dir, uint64_t random)
{
    struct service s;
    struct crowd crowds[PARTITIONS];
    struct crowd *all[PARTITIONS];
    service_open(&s, dir);
    for (uint16_t p = 0; p < PARTITIONS; p++) {
        crowd_start(&crowds[p], p, 80, SEED + p);
        all[p] = &crowds[p];
        for (int64_t applied = applied_of(s.store, p); crowds[p].offset < applied;) {
            uint32_t user;
            struct ms_event event;
            crowd_next(&crowds[p], &user, &event);
        }
    }
    if (write(STDOUT_FILENO, "go", 2) != 2)
        return 1;
    for (;;) {
        for (int p = 0; p < PARTITIONS; p++)
            crowd_fold(&crowds[p], s.overlay, &s.fold_context, (uint32_t)(life_random(&random) % 300), 64,
                       false);
        crowd_flush_end(s.overlay); /* the one before: it had the events since to arrive in */
        crowd_flush_begin(all, PARTITIONS, s.overlay);
    }
}

static void kill_one(char *self, char *dir, uint64_t *random)
{
    int fds[2];
    char seed[32], go[2];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)life_random(random));
    char child_word[] = "child";
    char *const args[] = {self, child_word, dir, seed, NULL};
    assert_int_equal(pipe(fds), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, args, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    assert_int_equal(read(fds[0], go, 2), 2);
    usleep((useconds_t)(life_random(random) % 60000));
    assert_int_equal(kill(pid, SIGKILL), 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* it did not fail by itself */
    close(fds[0]);
}

static char *self_name;

static void killed_at_any_moment(void **state)
{
    char *dir = state_dir_new();
    struct crowd crowds[PARTITIONS];
    uint64_t random = 17;
    int moved = 0;
    (void)state;
    for (uint16_t p = 0; p < PARTITIONS; p++)
        crowd_start(&crowds[p], p, 80, SEED + p);
    for (int round = 0; round < 20; round++) {
        struct service s;
        kill_one(self_name, dir, &random);
        service_open(&s, dir);
        for (uint16_t p = 0; p < PARTITIONS; p++) {
            struct crowd *crowd = &crowds[p];
            int64_t applied = applied_of(s.store, p);
            assert_true(applied >= crowd->offset);
            moved += applied > crowd->offset;
            while (crowd->offset < applied) {
                uint32_t user;
                struct ms_event event;
                bool forget = crowd_next(crowd, &user, &event);
                uint32_t row = ms_model_find(s.model.model, event.item.data, event.item.size);
                if (forget)
                    naive_forget(&crowd->users[user].naive);
                else
                    naive_fold(&crowd->users[user].naive, &s.fold_context, &event, row);
            }
            crowd_compare(crowd, s.overlay, &s.fold_context);
        }
        assert_int_equal(count_rows(s.store).orphans, 0);
        service_close(&s);
    }
    assert_in_range(moved, 20, 60);
    for (int p = 0; p < PARTITIONS; p++)
        crowd_free(&crowds[p]);
    state_dir_remove(dir);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_at_any_moment)};
    if (argc == 4 && strcmp(argv[1], "child") == 0)
        return flush_for_ever(argv[2], strtoull(argv[3], NULL, 10));
    self_name = argv[0];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
