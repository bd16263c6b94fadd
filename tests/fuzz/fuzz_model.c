/*
 * fuzz_model.c - texts as model files. A model that is read is written again to a text that reads as the same model. A text
 * whose only fault is the id of its content gets the right id, or no damage would ever reach what lies behind that check.
 */
#include <stdlib.h>
#include <string.h>

#include "model/model_file.h"

static void check(bool good)
{
    if (!good) abort();
}

/* "model file was changed: its id is OLD, its content gives NEW": put NEW in OLD's place. */
static bool mend_id(struct psa_str text, const char *message)
{
    const char *old = strstr(message, "its id is "), *new = strstr(message, ", its content gives ");
    size_t n;
    char *at;

    if (!old || !new) return false;
    old += strlen("its id is ");
    n = (size_t)(new - old);
    new += strlen(", its content gives ");
    if (strlen(new) != n || n == 0) return false;
    at = memmem(text.p, text.n, old, n);
    if (!at) return false;
    memcpy(at, new, n);
    return true;
}

static void check_writes_back(struct psa_model *model)
{
    struct psa_model again = { 0 };
    struct psa_buf once = { 0 }, twice = { 0 };
    struct psa_error error = { 0 };

    psa_model_write(model, &once);
    check(!once.failed);
    check(psa_model_read(&again, psa_buf_str(&once), &error) == 0);
    check(strcmp(again.id, model->id) == 0);
    psa_model_write(&again, &twice);
    check(psa_str_is(psa_buf_str(&once), psa_buf_str(&twice)));
    psa_model_free(&again);
    psa_buf_free(&once);
    psa_buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *copy = malloc(n ? n : 1);
    struct psa_str text = { copy, n };
    struct psa_model model = { 0 };
    struct psa_error error = { 0 };
    int status;

    check(copy != NULL);
    if (n) memcpy(copy, bytes, n);
    status = psa_model_read(&model, text, &error);
    if (status != 0 && mend_id(text, error.text)) {
        memset(&model, 0, sizeof model);
        status = psa_model_read(&model, text, &error);
    }
    if (status == 0) {
        check_writes_back(&model);
        psa_model_free(&model);
    } else {
        check(error.status == PSA_EXIT_PERMANENT || error.status == PSA_EXIT_RUNTIME);
        check(error.text[0] != '\0' && memchr(error.text, '\0', sizeof error.text) != NULL);
    }
    free(copy);
    return 0;
}
