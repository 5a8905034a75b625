/* Cores by affinity, memory by sysconf and control groups. */
#include "app/machine.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int ms_machine_cores(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? count : 1;
}

/* The limit in |directory|/memory.max, or INT64_MAX ("max", or no such file). */
static int64_t limit_of(const char *directory)
{
    char path[PATH_MAX];
    int64_t bytes = INT64_MAX;
    if (snprintf(path, sizeof path, "%s/memory.max", directory) >= (int)sizeof path)
        return bytes;
    FILE *file = fopen(path, "r");
    if (!file)
        return bytes;
    if (fscanf(file, "%" SCNd64, &bytes) != 1 || bytes <= 0)
        bytes = INT64_MAX;
    fclose(file);
    return bytes;
}

/* The lowest limit from this process's group up to the root. */
static int64_t group_limit(void)
{
    static const char root[] = "/sys/fs/cgroup";
    char directory[PATH_MAX] = "/sys/fs/cgroup", line[PATH_MAX];
    FILE *file = fopen("/proc/self/cgroup", "r");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) == 0 && strlen(line) < sizeof directory - sizeof root)
            strcpy(directory + sizeof root - 1, line + 3);
    }
    if (file)
        fclose(file);
    int64_t lowest = limit_of(directory);
    while (strlen(directory) > sizeof root - 1) {
        *strrchr(directory, '/') = '\0';
        int64_t limit = limit_of(directory);
        lowest = limit < lowest ? limit : lowest;
    }
    return lowest;
}

int64_t ms_machine_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    int64_t physical = pages > 0 && page_bytes > 0 ? (int64_t)pages * page_bytes : (int64_t)1 << 30;
    int64_t limit = group_limit();
    return limit < physical ? limit : physical;
}
