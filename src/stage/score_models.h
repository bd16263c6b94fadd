/*
 * score_models.h - psa-score --models: which model is a stream's? Files of models, each in memory once however many streams
 * or groups work by it, and only while one does.
 */
#ifndef PSA_STAGE_SCORE_MODELS_H
#define PSA_STAGE_SCORE_MODELS_H

#include "stage/score.h"

/* A model file in use. */
struct psa_model_file {
    char *path;
    uint64_t hash;
    size_t users;
    struct psa_model *model;      /* NULL: the file is broken, which was said */
    struct psa_score_setup setup; /* --models: as the options have it */
    bool said_unmatched;          /* that a record lacked one of its features */
    struct psa_model_file *chain; /* next of the same bucket */
};

struct psa_model_files;

/* None in use yet; NULL when memory is out. Whoever frees them has left all. */
struct psa_model_files *psa_model_files_new(void);
void psa_model_files_free(struct psa_model_files *files);

/*
 * The file at path, read when nobody uses it yet, with one user more in *file; `plain`: its name was made of a record's key,
 * and it must be a plain file. 0; 1: there is no such file (*file is NULL);
 * -1 with *error set: it cannot be used, and *file is NULL only when memory is out, else it says so from now on by having no
 * model.
 */
int psa_model_file_take(struct psa_model_files *files, struct psa_node *node, const char *path, bool plain,
                        struct psa_model_file **file, struct psa_error *error);
/* As that, for a file without which nothing can be done: *file is NULL and *error set, also when there is none. 0 or -1. */
int psa_model_file_need(struct psa_model_files *files, struct psa_node *node, const char *path,
                        struct psa_model_file **file, struct psa_error *error);
/* One user less; without any it is freed. */
void psa_model_file_leave(struct psa_model_files *files, struct psa_model_file *file);

/* Is there such a folder? 0, or -1 with *error set. */
int psa_score_models_check(struct psa_node *node, const char *folder, struct psa_error *error);

/*
 * The model of a stream's key: FOLDER/TYPE/ID.json, else FOLDER/TYPE.json, else FOLDER/default.json; with --key
 * FOLDER/VALUE.json, else default. Names are written as core/path_name.h does. *file NULL: there is none, or without model: it is broken; both are said. 0, or -1 with *error set when memory
 * is out.
 */
int psa_score_models_find(struct psa_node *node, struct psa_str key, struct psa_model_file **file,
                          struct psa_error *error);

#endif
