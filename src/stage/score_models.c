/* score_models.c - see score_models.h. */
#include "stage/score_models.h"

#include <stdlib.h>
#include <string.h>

#include "core/chain.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/path_name.h"
#include "model/model_file.h"

enum {
    FIRST_BUCKETS = 16,
    NAME_MAX_BYTES = 255 - 5 /* of a file's name, as Linux has it, without .json */
};

/* All files in use. */
struct psa_model_files {
    struct psa_model_file **bucket;
    size_t n, n_bucket;
};

/* ---- files in use ----------------------------------------------------------------------------------------------------- */

static struct psa_model_file **bucket_of(const struct psa_model_files *files, uint64_t hash)
{
    return &files->bucket[(hash ^ hash >> 32) & (files->n_bucket - 1)];
}

static bool grow(struct psa_model_files *files)
{
    struct psa_model_files wider = { .n = files->n, .n_bucket = files->n_bucket ? 2 * files->n_bucket : FIRST_BUCKETS };

    wider.bucket = calloc(wider.n_bucket, sizeof(struct psa_model_file *));
    if (wider.bucket == NULL) return false;
    for (size_t i = 0; i < files->n_bucket; i++) {
        for (struct psa_model_file *file = files->bucket[i], *next; file != NULL; file = next) {
            struct psa_model_file **bucket = bucket_of(&wider, file->hash);

            next = file->chain;
            file->chain = *bucket;
            *bucket = file;
        }
    }
    free(files->bucket);
    *files = wider;
    return true;
}

static struct psa_model_file *find(const struct psa_model_files *files, const char *path, uint64_t hash)
{
    struct psa_model_file *file = files->n_bucket > 0 ? *bucket_of(files, hash) : NULL;

    while (file != NULL && (file->hash != hash || strcmp(file->path, path) != 0)) file = file->chain;
    return file;
}

static struct psa_model_file *add(struct psa_model_files *files, const char *path, uint64_t hash)
{
    struct psa_model_file *file, **bucket;

    if (files->n >= files->n_bucket && !grow(files)) return NULL;
    file = calloc(1, sizeof *file);
    if (file == NULL || (file->path = strdup(path)) == NULL) {
        free(file);
        return NULL;
    }
    file->hash = hash;
    bucket = bucket_of(files, hash);
    file->chain = *bucket;
    *bucket = file;
    files->n++;
    return file;
}

/* The text as a model; *error speaks of the path. */
static struct psa_model *read_model(const char *path, struct psa_str text, struct psa_error *error)
{
    struct psa_model *model = calloc(1, sizeof *model);
    struct psa_error inner = { 0 };

    if (model == NULL) {
        (void)psa_fail_memory(error, "loading a model");
    } else if (psa_model_read(model, text, &inner) != 0) {
        (void)psa_fail(error, inner.status, "model '%s': %s", path, inner.text);
        free(model);
        model = NULL;
    }
    return model;
}

/* A file that nobody uses yet, with no user so far. As psa_model_file_take. */
static int read_file(struct psa_model_files *files, struct psa_node *node, const char *path, bool plain, uint64_t hash,
                     struct psa_model_file **file, struct psa_error *error)
{
    const struct psa_world *world = node->world;
    struct psa_model_file *made = NULL;
    struct psa_buf text = { 0 };
    int status = (plain ? world->plain_file_read : world->file_read)(world->ctx, path, &text, error);

    if (status != 1) made = add(files, path, hash);
    if (made == NULL) {
        if (status != 1) status = psa_fail_memory(error, "loading a model");
    } else if (status == 0) {
        made->model = read_model(path, psa_buf_str(&text), error);
        status = made->model != NULL ? 0 : -1;
    }
    psa_buf_free(&text);
    *file = made;
    return status;
}

int psa_model_file_take(struct psa_model_files *files, struct psa_node *node, const char *path, bool plain,
                        struct psa_model_file **file, struct psa_error *error)
{
    uint64_t hash = psa_hash(PSA_HASH_START, path, strlen(path));
    int status = 0;

    *file = find(files, path, hash);
    if (node->world == NULL || node->world->file_read == NULL)
        return psa_fail(error, PSA_EXIT_PERMANENT, "model '%s': files cannot be read here", path);
    if (*file == NULL) status = read_file(files, node, path, plain, hash, file, error);
    if (*file != NULL) (*file)->users++;
    return status;
}

int psa_model_file_need(struct psa_model_files *files, struct psa_node *node, const char *path,
                        struct psa_model_file **file, struct psa_error *error)
{
    int status = psa_model_file_take(files, node, path, false, file, error);

    if (status == 0) return 0;
    if (status == 1) status = psa_fail(error, PSA_EXIT_PERMANENT, "model '%s' does not exist", path);
    psa_model_file_leave(files, *file);
    *file = NULL;
    return status;
}

static void free_file(struct psa_model_file *file)
{
    psa_score_setup_close(&file->setup);
    if (file->model != NULL) psa_model_free(file->model);
    free(file->model);
    free(file->path);
    free(file);
}

void psa_model_file_leave(struct psa_model_files *files, struct psa_model_file *file)
{
    struct psa_model_file **link;

    if (file == NULL || --file->users > 0) return;
    link = bucket_of(files, file->hash);
    while (*link != file) link = &(*link)->chain;
    *link = file->chain;
    files->n--;
    free_file(file);
}

struct psa_model_files *psa_model_files_new(void)
{
    return calloc(1, sizeof(struct psa_model_files));
}

void psa_model_files_free(struct psa_model_files *files)
{
    if (files == NULL) return;
    free(files->bucket);
    free(files);
}

/* ---- by key ------------------------------------------------------------------------------------------------------------- */

/* Whatever the system says of it but that there is nothing: a folder that is there cannot be read as a file. */
int psa_score_models_check(struct psa_node *node, const char *folder, struct psa_error *error)
{
    struct psa_error unread = { 0 };
    struct psa_buf text = { 0 };
    int status;

    if (node->world == NULL || node->world->file_read == NULL || node->world->plain_file_read == NULL)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--models: files cannot be read here");
    status = node->world->file_read(node->world->ctx, folder, &text, &unread);
    psa_buf_free(&text);
    if (status == 1) return psa_fail(error, PSA_EXIT_PERMANENT, "--models: there is no folder '%s'", folder);
    if (status == 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--models: '%s' is a file; --model FILE takes one model", folder);
    return 0;
}

/* FOLDER/OUTER/INNER.json, either of the names may be empty. false: there can be no such file. */
static bool put_path(struct psa_buf *path, const char *folder, struct psa_str outer, struct psa_str inner)
{
    path->n = 0;
    psa_buf_puts(path, folder);
    psa_buf_puts(path, "/");
    if (!psa_path_name_put(path, outer, NAME_MAX_BYTES)) return false;
    if (outer.n > 0 && inner.n > 0) psa_buf_puts(path, "/");
    if (!psa_path_name_put(path, inner, NAME_MAX_BYTES)) return false;
    psa_buf_put(path, ".json", sizeof ".json"); /* with its NUL */
    return outer.n > 0 || inner.n > 0;
}

/* The first that is there. 1: none is. */
static int take_first(struct psa_node *node, struct psa_str outer, struct psa_str inner, struct psa_model_file **file,
                      struct psa_error *error)
{
    const struct psa_score_config *config = node->config;
    struct psa_score *score = node->state;
    struct psa_str none = { NULL, 0 };
    const struct psa_str names[3][2] = { { outer, inner }, { outer, none }, { none, psa_str_of("default") } };
    struct psa_buf path = { 0 };
    int status = 1;

    for (size_t i = 0; i < 3 && status == 1; i++) {
        if (put_path(&path, config->models, names[i][0], names[i][1]) && !path.failed)
            status = psa_model_file_take(score->files, node, path.p, true, file, error);
    }
    if (path.failed) status = psa_fail_memory(error, "loading a model");
    psa_buf_free(&path);
    return status;
}

/* As the options have it. A model that cannot be used so is as good as broken, and none from now on. */
static int open_setup(struct psa_node *node, struct psa_model_file *file, struct psa_error *error)
{
    struct psa_score *score = node->state;
    struct psa_error inner = { 0 };

    if (file->model == NULL || file->setup.model != NULL) return 0;
    if (psa_score_setup_open(&file->setup, node->config, file->model, &score->scratch, &inner) == 0 &&
        psa_score_setup_run(node, &file->setup, &inner) == 0)
        return 0;
    psa_score_setup_close(&file->setup);
    file->setup = (struct psa_score_setup){ 0 };
    psa_model_free(file->model);
    free(file->model);
    file->model = NULL;
    return psa_fail(error, inner.status, "model '%s': %s", file->path, inner.text);
}

int psa_score_models_find(struct psa_node *node, struct psa_str key, struct psa_model_file **file,
                          struct psa_error *error)
{
    struct psa_str outer = { NULL, 0 }, inner = key;
    struct psa_model_file *found = NULL;
    struct psa_error broken = { 0 };
    char shown[PSA_KEY_SHOWN];
    int status;

    if (node->options.key == NULL) psa_key_split(key, &outer, &inner);
    status = take_first(node, outer, inner, &found, &broken);
    *file = found;
    if (found == NULL && status < 0) {
        *error = broken;
        return -1;
    }
    if (found != NULL && status == 0) status = open_setup(node, found, &broken);
    if (status < 0) psa_say(node, "broken_model", "%s: %s; it passes unscored", psa_key_show(key, shown), broken.text);
    if (status == 1)
        psa_say(node, "unmodelled", "%s: no model of it in '%s'; it passes unscored", psa_key_show(key, shown),
                ((const struct psa_score_config *)node->config)->models);
    return 0;
}
