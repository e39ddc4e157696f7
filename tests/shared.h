/* Reference data that does not belong to the project: in the folder $WITAN_SHARED, else ../shared. Tests that need it skip without it. */
#ifndef TEST_SHARED_H
#define TEST_SHARED_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline const char *shared_path(char buf[512], const char *name)
{
    const char *folder = getenv("WITAN_SHARED");
    snprintf(buf, 512, "%s/data/%s", folder ? folder : "../shared", name);
    return buf;
}

#define SKIP_WITHOUT(path) do { if (access((path), R_OK)) skip(); } while (0)

#endif
