/* psa-webhook - post records to a URL, psa-webhook(1). */
#include "io/webhook.h"

int main(int argc, char **argv)
{
    return psa_webhook_main(argc, argv);
}
