/* test_disk.c - io/disk: the calls on a real folder, and their errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/disk.h"
#include "io/fault_points.h"

struct bench {
    char parent[64], folder[80];
    struct psa_disk disk;
    struct psa_error error;
};

static int begin(void **state)
{
    static struct bench b;

    b = (struct bench){ .parent = "/tmp/psa-test-disk-XXXXXX" };
    assert_non_null(mkdtemp(b.parent));
    snprintf(b.folder, sizeof b.folder, "%s/spool", b.parent);
    umask(0);
    if (psa_disk_open(&b.disk, b.folder, true, &b.error) != 0) fail_msg("%s", b.error.text);
    *state = &b;
    return 0;
}

static int remove_file(void *arg, const char *name, int64_t bytes)
{
    const struct psa_disk *disk = arg;

    (void)bytes;
    return disk->unlink(disk->ctx, "test", name);
}

static int end(void **state)
{
    struct bench *b = *state;
    char path[100];

    snprintf(path, sizeof path, "%s/not-a-file", b->folder);
    rmdir(path);
    assert_int_equal(b->disk.list(b->disk.ctx, remove_file, &b->disk), 0);
    psa_disk_close(&b->disk);
    assert_int_equal(rmdir(b->folder), 0);
    return rmdir(b->parent);
}

static int open_file(struct bench *b, const char *name, enum psa_disk_open how)
{
    return b->disk.open(b->disk.ctx, "test", name, how);
}

static void put(struct bench *b, int fd, const char *text)
{
    assert_true(b->disk.write(b->disk.ctx, "test", fd, text, strlen(text)) == (int64_t)strlen(text));
}

static void check_content(struct bench *b, int fd, const char *want)
{
    char text[100] = "";

    assert_true(b->disk.read(b->disk.ctx, fd, 0, text, sizeof text - 1) == (int64_t)strlen(want));
    assert_string_equal(text, want);
    assert_true(b->disk.size(b->disk.ctx, fd) == (int64_t)strlen(want));
}

static mode_t mode_of(const char *path)
{
    struct stat there;

    assert_int_equal(stat(path, &there), 0);
    return there.st_mode & 07777;
}

static void files_are_opened_as_asked(void **state)
{
    struct bench *b = *state;
    char path[100];
    int fd;

    assert_int_equal(open_file(b, "a", PSA_DISK_READ), -ENOENT);
    fd = open_file(b, "a", PSA_DISK_NEW);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    put(b, fd, "one");
    b->disk.close(b->disk.ctx, fd);
    assert_int_equal(open_file(b, "a", PSA_DISK_NEW), -EEXIST);
    fd = open_file(b, "a", PSA_DISK_APPEND);
    put(b, fd, "two");
    check_content(b, fd, "onetwo");
    b->disk.close(b->disk.ctx, fd);
    fd = open_file(b, "a", PSA_DISK_READ);
    check_content(b, fd, "onetwo");
    assert_int_equal(b->disk.write(b->disk.ctx, "test", fd, "x", 1), -EBADF);
    b->disk.close(b->disk.ctx, fd);
    fd = open_file(b, "a", PSA_DISK_FRESH);
    check_content(b, fd, "");
    b->disk.close(b->disk.ctx, fd);
    snprintf(path, sizeof path, "%s/a", b->folder);
    assert_int_equal(mode_of(path), 0640);
    assert_int_equal(mode_of(b->folder), 0750);
}

static void content_is_read_cut_and_synced(void **state)
{
    struct bench *b = *state;
    int fd = open_file(b, "a", PSA_DISK_APPEND);
    char byte;

    put(b, fd, "0123456789");
    assert_int_equal(b->disk.truncate(b->disk.ctx, "test", fd, 4), 0);
    put(b, fd, "ab"); /* behind what is left, not where the last write ended */
    check_content(b, fd, "0123ab");
    assert_int_equal(b->disk.read(b->disk.ctx, fd, 6, &byte, 1), 0);
    assert_int_equal(b->disk.read(b->disk.ctx, fd, 5, &byte, 1), 1);
    assert_int_equal(byte, 'b');
    assert_int_equal(b->disk.sync(b->disk.ctx, "test", fd), 0);
    assert_int_equal(b->disk.sync_folder(b->disk.ctx, "test"), 0);
    b->disk.close(b->disk.ctx, fd);
    assert_int_equal(b->disk.sync(b->disk.ctx, "test", -1), -EBADF);
    assert_int_equal(b->disk.size(b->disk.ctx, -1), -EBADF);
}

static void files_are_renamed_and_unlinked(void **state)
{
    struct bench *b = *state;
    int a = open_file(b, "a", PSA_DISK_FRESH), c = open_file(b, "c", PSA_DISK_FRESH);

    put(b, a, "of a");
    assert_true(b->disk.linked(b->disk.ctx, a) && b->disk.linked(b->disk.ctx, c));
    assert_int_equal(b->disk.rename(b->disk.ctx, "test", "a", "c"), 0);
    assert_true(b->disk.linked(b->disk.ctx, a));
    assert_false(b->disk.linked(b->disk.ctx, c));
    assert_int_equal(b->disk.rename(b->disk.ctx, "test", "a", "c"), -ENOENT);
    assert_int_equal(b->disk.unlink(b->disk.ctx, "test", "a"), -ENOENT);
    assert_int_equal(b->disk.unlink(b->disk.ctx, "test", "c"), 0);
    assert_false(b->disk.linked(b->disk.ctx, a));
    check_content(b, a, "of a");
    b->disk.close(b->disk.ctx, a);
    b->disk.close(b->disk.ctx, c);
}

static void reserves_real_blocks(void **state)
{
    struct bench *b = *state;
    int fd = open_file(b, "reserve", PSA_DISK_FRESH);
    struct stat there;

    assert_int_equal(b->disk.reserve(b->disk.ctx, "test", fd, 100000), 0);
    assert_int_equal(b->disk.size(b->disk.ctx, fd), 100000);
    assert_int_equal(fstat(fd, &there), 0);
    assert_true(there.st_blocks * 512 >= 100000);
    b->disk.close(b->disk.ctx, fd);
}

struct listing {
    int files, stop_at;
    int64_t bytes;
};

static int count_file(void *arg, const char *name, int64_t bytes)
{
    struct listing *listing = arg;

    assert_true(strcmp(name, "a") == 0 || strcmp(name, "b") == 0);
    listing->bytes += bytes;
    return ++listing->files == listing->stop_at ? 77 : 0;
}

static void lists_files_only(void **state)
{
    struct bench *b = *state;
    struct listing listing = { 0 };
    char path[100];
    int fd = open_file(b, "a", PSA_DISK_FRESH);

    put(b, fd, "12345");
    b->disk.close(b->disk.ctx, fd);
    b->disk.close(b->disk.ctx, open_file(b, "b", PSA_DISK_FRESH));
    snprintf(path, sizeof path, "%s/not-a-file", b->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    for (int again = 0; again < 2; again++) { /* every listing begins at the beginning */
        listing = (struct listing){ 0 };
        assert_int_equal(b->disk.list(b->disk.ctx, count_file, &listing), 0);
        assert_int_equal(listing.files, 2);
        assert_int_equal(listing.bytes, 5);
    }
    listing = (struct listing){ .stop_at = 1 };
    assert_int_equal(b->disk.list(b->disk.ctx, count_file, &listing), 77);
    assert_int_equal(listing.files, 1);
}

static void one_holds_a_lock(void **state)
{
    struct bench *b = *state;
    int64_t holder = -1;
    char want[32];
    int fd = b->disk.lock(b->disk.ctx, "a", NULL), other;

    assert_true(fd >= 0);
    snprintf(want, sizeof want, "%ld\n", (long)getpid());
    check_content(b, fd, want);
    assert_int_equal(b->disk.lock(b->disk.ctx, "a", &holder), -EWOULDBLOCK);
    assert_int_equal(holder, getpid());
    assert_int_equal(b->disk.lock(b->disk.ctx, "a", NULL), -EWOULDBLOCK);
    assert_true((other = b->disk.lock(b->disk.ctx, "b", NULL)) >= 0);
    b->disk.close(b->disk.ctx, other);
    assert_int_equal(b->disk.truncate(b->disk.ctx, "test", fd, 0), 0);
    assert_int_equal(b->disk.lock(b->disk.ctx, "a", &holder), -EWOULDBLOCK);
    assert_int_equal(holder, 0);
    put(b, fd, "12 no number 12\n");
    b->disk.close(b->disk.ctx, fd);
    fd = b->disk.lock(b->disk.ctx, "a", &holder);
    check_content(b, fd, want); /* what another left there is gone */
    b->disk.close(b->disk.ctx, fd);
}

/* A killed process leaves no lock. */
static void locks_die_with_their_process(void **state)
{
    struct bench *b = *state;
    int told[2], status, fd;
    int64_t holder = 0;
    char byte;
    pid_t child;

    assert_int_equal(pipe(told), 0);
    child = fork();
    if (child == 0) {
        if (b->disk.lock(b->disk.ctx, "a", NULL) < 0 || write(told[1], "x", 1) != 1) _exit(1);
        for (;;) pause();
    }
    assert_int_equal(read(told[0], &byte, 1), 1);
    assert_int_equal(b->disk.lock(b->disk.ctx, "a", &holder), -EWOULDBLOCK);
    assert_int_equal(holder, child);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    fd = b->disk.lock(b->disk.ctx, "a", &holder);
    assert_true(fd >= 0);
    b->disk.close(b->disk.ctx, fd);
    close(told[0]);
    close(told[1]);
}

static void folders_that_cannot_be(void **state)
{
    struct bench *b = *state;
    struct psa_disk disk;
    char path[160], want[300];

    snprintf(path, sizeof path, "%s/no", b->parent);
    assert_int_equal(psa_disk_open(&disk, path, false, &b->error), -1);
    snprintf(want, sizeof want, "%s: there is no such folder", path);
    assert_string_equal(b->error.text, want);
    assert_int_equal(b->error.status, PSA_EXIT_PERMANENT);
    psa_disk_close(&disk); /* nothing to close */

    snprintf(path, sizeof path, "%s/no/spool/", b->parent);
    assert_int_equal(psa_disk_open(&disk, path, true, &b->error), -1);
    snprintf(want, sizeof want, "%s: cannot be made: there is no folder '%s/no'; make that one first", path, b->parent);
    assert_string_equal(b->error.text, want);

    b->disk.close(b->disk.ctx, open_file(b, "a", PSA_DISK_FRESH));
    snprintf(path, sizeof path, "%s/a", b->folder);
    assert_int_equal(psa_disk_open(&disk, path, true, &b->error), -1);
    snprintf(want, sizeof want, "%s: is no folder", path);
    assert_string_equal(b->error.text, want);
    assert_int_equal(b->error.status, PSA_EXIT_PERMANENT);
}

/* The spool is the folder, wherever it is: under a relative name, and after a change of the working directory. */
static void relative_names(void **state)
{
    struct bench *b = *state;
    struct psa_disk disk;
    char back[1000];

    assert_non_null(getcwd(back, sizeof back));
    assert_int_equal(chdir(b->parent), 0);
    assert_int_equal(psa_disk_open(&disk, "spool", true, &b->error), 0);
    assert_int_equal(chdir(back), 0);
    disk.close(disk.ctx, disk.open(disk.ctx, "test", "a", PSA_DISK_FRESH));
    b->disk.close(b->disk.ctx, open_file(b, "a", PSA_DISK_READ)); /* a name in the same folder */
    assert_true(psa_disk_folder_fd(&disk) >= 0);
    psa_disk_close(&disk);
}

/* ---- fault points: what programs built with them do; the functions are there in every build ---------------------- */

/* Pass points "a", "b", "a" in a child under that order: the signal negated, or the exit status. */
static int pass_points(const char *order, const char *list)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        int fault = 0;

        if (!freopen("/dev/null", "w", stderr)) _exit(1);
        setenv("PSA_FAULT", order, 1);
        if (list) setenv("PSA_FAULT_LIST", list, 1);
        fault = psa_fault_begin("a");
        if (fault == 0) fault = psa_fault_begin("b");
        if (fault == 0) fault = psa_fault_begin("a");
        psa_fault_end(fault);
        _exit(fault < 0 ? -fault : 100 + fault);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void fault_points(void **state)
{
    struct bench *b = *state;
    char path[100];
    int fd;

    assert_int_equal(pass_points("c:1:EIO", NULL), 100);
    assert_int_equal(pass_points("a:3:EIO", NULL), 100);
    assert_int_equal(pass_points("a:1:EIO", NULL), EIO);
    assert_int_equal(pass_points("b:1:ENOSPC", NULL), ENOSPC);
    assert_int_equal(pass_points("a:2:kill-before", NULL), -SIGKILL);
    assert_int_equal(pass_points("a:2:kill-after", NULL), -SIGKILL);
    assert_int_equal(pass_points("a:2:half", NULL), -SIGKILL);
    assert_int_equal(pass_points("a:2:short", NULL), 100 + PSA_FAULT_SHORT);
    assert_int_equal(pass_points("a:2:explode", NULL), 99);
    assert_int_equal(pass_points("a", NULL), 99);
    assert_int_equal(pass_points("a:0:EIO", NULL), 99);
    assert_int_equal(pass_points("a:x:EIO", NULL), 99);
    snprintf(path, sizeof path, "%s/a", b->folder);
    assert_int_equal(pass_points("c:1:EIO", path), 100);
    fd = open_file(b, "a", PSA_DISK_READ);
    check_content(b, fd, "a\nb\na\n");
    b->disk.close(b->disk.ctx, fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_opened_as_asked, begin, end),
        cmocka_unit_test_setup_teardown(content_is_read_cut_and_synced, begin, end),
        cmocka_unit_test_setup_teardown(files_are_renamed_and_unlinked, begin, end),
        cmocka_unit_test_setup_teardown(reserves_real_blocks, begin, end),
        cmocka_unit_test_setup_teardown(lists_files_only, begin, end),
        cmocka_unit_test_setup_teardown(one_holds_a_lock, begin, end),
        cmocka_unit_test_setup_teardown(locks_die_with_their_process, begin, end),
        cmocka_unit_test_setup_teardown(folders_that_cannot_be, begin, end),
        cmocka_unit_test_setup_teardown(relative_names, begin, end),
        cmocka_unit_test_setup_teardown(fault_points, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
