/*
 * train_import.c - a scikit-learn forest as a draft of a model: see train.h.
 *
 * src/tools/import_sklearn.py stands in the program itself, so that there is no file to find, and goes to Python as the
 * argument of -c. What it prints is read as any model is: bounded, and checked.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"
#include "io/signals.h"
#include "io/train.h"

#define PIECE 65536 /* bytes read at once */

extern const char psa_train_import_script[];

__asm__(".pushsection .rodata\n"
        ".globl psa_train_import_script\n"
        "psa_train_import_script:\n"
        ".incbin \"src/tools/import_sklearn.py\"\n"
        ".byte 0\n"
        ".popsection\n");

/* Start argv with its stdout to a pipe: the end to read, or -1. Its stdin is empty: ours has the records. */
static int start(char *const *argv, pid_t *pid, struct psa_error *error)
{
    posix_spawn_file_actions_t actions;
    int ends[2], status;

    if (pipe(ends) != 0) return psa_fail(error, PSA_EXIT_RUNTIME, "cannot start '%s': %s", argv[0], strerror(errno));
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    status = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (status == 0) return ends[0];
    close(ends[0]);
    return psa_fail(error, PSA_EXIT_PERMANENT, "'%s' cannot be run: %s; import-sklearn needs Python with scikit-learn",
                    argv[0], strerror(status));
}

/* All it prints, up to the size of a model. */
static int read_all(int fd, struct psa_buf *text, struct psa_error *error)
{
    for (;;) {
        char *room = psa_buf_room(text, PIECE);
        ssize_t got;

        if (room == NULL) return psa_fail_memory(error, "reading the forest");
        if (text->n > PSA_MODEL_BYTES_MAX)
            return psa_fail(error, PSA_EXIT_PERMANENT, "the forest is larger than the limit of 256 MiB");
        got = read(fd, room, PIECE);
        if (got == 0) return 0;
        if (got > 0) text->n += (size_t)got;
        if (got < 0 && errno != EINTR)
            return psa_fail(error, PSA_EXIT_RUNTIME, "reading the forest: %s", strerror(errno));
        if (psa_stop_asked()) return psa_fail(error, PSA_EXIT_RUNTIME, "stopped by a signal; no model was written");
    }
}

/* It has said itself, on stderr, what was wrong. */
static int reap(pid_t pid, const char *command, struct psa_error *error)
{
    int status = 0;
    pid_t got;

    do got = waitpid(pid, &status, 0);
    while (got < 0 && errno == EINTR);
    if (got == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    if (got == pid && WIFSIGNALED(status))
        return psa_fail(error, PSA_EXIT_RUNTIME, "'%s' was killed by signal %d; no model was written", command,
                        WTERMSIG(status));
    return psa_fail(error, PSA_EXIT_PERMANENT, "the forest cannot be imported; no model was written");
}

int psa_train_import(struct psa_model *model, const char *file, const struct psa_train_options *options,
                     struct psa_error *error)
{
    const char *command = options->python != NULL ? options->python : "python3";
    char *argv[6];
    const char *const words[] = { command, "-c", psa_train_import_script, file, options->features, NULL };
    struct psa_buf text = { 0 };
    struct psa_error inner = { 0 };
    pid_t pid = 0;
    int fd, status, ended;

    memcpy(argv, words, sizeof argv);
    fd = start(argv, &pid, error);
    if (fd < 0) return -1;
    status = read_all(fd, &text, error);
    close(fd);
    ended = reap(pid, command, status == 0 ? error : &inner);
    if (status == 0) status = ended;
    if (status == 0 && psa_model_read_draft(model, psa_buf_str(&text), &inner) != 0)
        status = psa_fail(error, inner.status, "what Python made of '%s' is no model: %s", file, inner.text);
    psa_buf_free(&text);
    return status;
}
