/* bus_file.c - what the kernel says of its buses in files. See bus.h. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "sensor/bus.h"

void psa_bus_line_of(const char *path, char *line, size_t size)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, line, size - 1);

    if (fd >= 0) close(fd);
    line[n < 0 ? 0 : n] = '\0';
    line[strcspn(line, "\n")] = '\0';
}
